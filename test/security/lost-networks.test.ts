/** Networks outlive the state directory that they are of: another daemon of root removes them, once no kernel is in them. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { silentJournal } from '../../src/core/journal.ts';
import { HostNetwork } from '../../src/network/bridge.ts';
import { Forwards } from '../../src/network/forwards.ts';
import { NamedNamespace, networkName } from '../../src/network/namespace.ts';
import { Network } from '../../src/network/network.ts';
import { NetworkNotes } from '../../src/network/network-notes.ts';

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'pk-lost-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

// Bridges and packet filters of the machine are root's to make.
it.skipIf(process.getuid?.() !== 0)(
  'those of state directories that are gone go with the next daemon, but with a kernel in them',
  async () => {
    const place = directory();
    const notes = new NetworkNotes(place);
    const homes = { removed: directory(), kept: directory(), inhabited: directory() };
    const names = Object.values(homes).map(networkName);
    for (const home of Object.values(homes)) {
      const namespace = new NamedNamespace(networkName(home));
      notes.write(networkName(home), home);
      await new HostNetwork(namespace, '10.213.0.1/16').ensure();
      onTestFinished(() => namespace.remove());
    }
    execFileSync('ip', ['-n', networkName(homes.inhabited), 'link', 'add', 'p7', 'type', 'veth', 'peer', 'name', 'k7']);
    for (const home of [homes.removed, homes.inhabited]) rmSync(home, { recursive: true });
    const proxies = [homes.removed, homes.kept].map((each) => {
      const args = ['-f', '/dev/null', join(each, 'haproxy.cfg')];
      const proxy = spawn('tail', args, { argv0: '/usr/sbin/haproxy', stdio: 'ignore' });
      onTestFinished(() => void proxy.kill());
      return { proxy, ended: once(proxy, 'exit') };
    });
    const home = directory();
    const forwards = new Forwards(join(home, 'forwards'));
    const network = new Network({
      isTakingOver: () => false,
      ...{ home, privileged: true, forwards, members: () => [], journal: silentJournal, lost: () => {}, notes },
    });
    await network.recover();
    const there = (name: string) => existsSync(`/run/netns/${name}`);
    expect(names.map(there)).toEqual([false, true, true]);
    await proxies[0]!.ended;
    expect(proxies[1]!.proxy.exitCode ?? proxies[1]!.proxy.signalCode).toBe(null);
    const noted = names.slice(1).flatMap((name) => [`${name}.network`, `${name}.view`]);
    expect(readdirSync(place).sort()).toEqual(noted.sort());
    execFileSync('ip', ['-n', networkName(homes.inhabited), 'link', 'del', 'p7']);
    await network.recover();
    expect(names.map(there)).toEqual([false, true, false]);
  },
);

it('counts none as gone whose daemon has other namespaces, where other files are', async () => {
  const place = directory();
  const [outside, inside] = ['mnt:[1] pid:[1]', 'mnt:[2] pid:[2]'].map((namespaces) => ({ boot: 'one', namespaces }));
  const home = join(place, 'gone');
  const lost = { name: networkName(home), home };
  const notes = new NetworkNotes(place, outside);
  notes.write(lost.name, home);
  expect(await new NetworkNotes(place, inside).lost()).toEqual([]);
  expect(await notes.lost()).toEqual([lost]);
  notes.forget(lost.name);
  expect(readdirSync(place)).toEqual([]);
});
