/** What a VMM holds of the network is worth nothing beyond its own port; and a port is confined before anybody holds it. As root. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HostNetwork } from '../../src/network/bridge.ts';
import { NamedNamespace } from '../../src/network/namespace.ts';
import { gatewaySettings } from '../../src/network/port-rules.ts';
import { findTool } from '../../src/sys/tools.ts';
import { compileFixture, compileFrames, fragment, ipv4, largeSegment, tooLarge } from '../support/frames.ts';
import { until } from '../support/pk.ts';

const isPossible = process.getuid?.() === 0 && ['ip', 'bridge', 'nft'].every((name) => findTool(name) !== undefined);

describe.runIf(isPossible)('an end of the network', () => {
  const name = `pkt-ends-${process.pid}`;
  const host = new HostNetwork(new NamedNamespace(name), '10.213.0.1/16');
  const ports = [2, 3].map((number) => host.port(number, `10.213.0.${number}`, '255.255.0.0'));
  const [port, neighbour] = [ports[0]!, ports[1]!];
  const gateway = { mac: '02:50:0a:d5:00:01', address: '10.213.0.1' };
  let directory: string;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'pk-ends-'));
    await compileFixture('network-end', join(directory, 'end'));
    await compileFrames(join(directory, 'frames'));
    expect(await host.ensure()).toBe(true);
    expect(await host.ensure()).toBe(false);
    await host.addPort(neighbour, [[neighbour.peer]]);
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await host.remove();
    rmSync(directory, { recursive: true });
  });

  const peers = async () => (await host.ports()).filter((each) => each.startsWith('p'));
  const inside = (...argv: string[]) => execFileSync('ip', ['netns', 'exec', name, ...argv], { encoding: 'utf8' });
  const forwarding = () => inside('bridge', 'fdb', 'show', 'dev', neighbour.peer);

  /** What the program says of the end it holds from here on. */
  async function hold(...args: string[]): Promise<{ said: string[]; child: ChildProcess }> {
    const env = { ...process.env, MAC: neighbour.mac };
    const child = spawn(join(directory, 'end'), args, { stdio: ['pipe', 'pipe', 2], env });
    children.push(child);
    let text = '';
    child.stdout!.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    await until('it holds its end', () => text.includes('ready') || child.exitCode !== null);
    return { said: text.trim().split('\n'), child };
  }

  it.each([
    ['packet', [port.namespace, port.interface, port.peer], []],
    ['tap', [port.namespace, port.interface], ['tap', 'bridge', 'address changed', 'queue of 256']],
  ])('%s: nothing else is in its namespace, and it goes with who holds it', async (kind, args, more) => {
    await host.addPort(port, [[port.peer, neighbour.peer]]);
    const before = forwarding();
    const { said, child } = await hold(kind, ...args);
    // The kernel itself makes tunnels that lead nowhere in every namespace, where its modules are loaded.
    const own = said.filter((each) => !/^(?:sit|tunl|gre|gretap|erspan|ip_vti|ip6_vti|ip6tnl|ip6gre)0$/.test(each));
    expect(own.sort()).toEqual(['lo', port.interface, 'ready', ...more].sort());
    expect(await peers()).toEqual([neighbour.peer, port.peer]);
    // A tap's hardware address is for anybody to change who holds it: as a port of the bridge it would take the neighbour's.
    expect(forwarding()).toBe(before);
    child.stdin!.end();
    await until('the port is gone', async () => (await peers()).length === 1);
  });

  it('of a tap has the host cut no frame into more than a thousand segments, for which nobody else would have that CPU', async () => {
    await host.addPort(port, [[port.peer, neighbour.peer]]);
    const { child } = await hold('tap', port.namespace, port.interface);
    const received = () => {
      const [shown] = JSON.parse(inside('ip', '-j', '-s', 'link', 'show', port.peer));
      return shown.stats64.rx.packets as number;
    };
    // To the gateway: the tap itself has the neighbour's address by now.
    /** How many frames have come through. */
    const send = async (bytes: number, segmentBytes: number) => {
      const before = received();
      const said = once(child.stdout!, 'data');
      child.stdin!.write(`${bytes} ${largeSegment(port, gateway, bytes, segmentBytes)}\n`);
      expect((await said)[0]).toBe('sent\n');
      return received() - before;
    };
    await until('frames pass', async () => (await send(100, 0)) === 1);
    expect(await send(60_000, 1448)).toBe(1);
    for (const segmentBytes of [1, 8, 58]) expect(await send(60_000, segmentBytes)).toBe(0);
    expect(await send(60_000, 59)).toBe(1);
    expect(await send(1000, 1)).toBe(1);
    child.stdin!.end();
    await until('the port is gone', async () => (await peers()).length === 1);
  });

  it('says to the gateway of nobody else that what it sends them is too large, and leaves room for fragments of others', async () => {
    await host.addPort(port, [[port.peer]]);
    const guest = `${name}-guest`;
    const heard = () => JSON.parse(inside('ip', '-j', '-s', 'link', 'show', 'br0'))[0].stats64.rx.packets as number;
    const sent = (...frames: string[]) => {
      const before = heard();
      execFileSync('ip', ['netns', 'exec', guest, join(directory, 'frames'), port.interface, ...frames]);
      return heard() - before;
    };
    try {
      execFileSync('ip', ['netns', 'add', guest]);
      inside('ip', 'link', 'set', port.interface, 'netns', guest);
      execFileSync('ip', ['-n', guest, 'link', 'set', port.interface, 'addrgenmode', 'none', 'up']);
      await until('frames pass', () => sent(tooLarge(port, gateway, port.address)) === 1);
      expect(sent(tooLarge(port, gateway, neighbour.address))).toBe(0);
      for (const bytes of [8, 24, 32]) expect(sent(tooLarge(port, gateway, neighbour.address, bytes))).toBe(0);
      // Behind its MAC address a gateway leads outside.
      expect(sent(tooLarge(port, { ...gateway, address: '198.51.100.1' }, neighbour.address))).toBe(0);
      expect(sent(ipv4(gateway.mac, port.mac, gateway.address, port.address, 'x'))).toBe(1);
      inside('ip', 'link', 'set', neighbour.interface, 'up');
      const whole = [fragment(neighbour, gateway, 7, 0, 24, true), fragment(neighbour, gateway, 7, 24, 24, false)];
      const reassembled = () => Number(/^Ip: \d.*/m.exec(inside('cat', '/proc/net/snmp'))![0].split(' ')[15]);
      const becomesWhole = () => {
        const before = reassembled();
        inside(join(directory, 'frames'), neighbour.interface, ...whole);
        return reassembled() > before;
      };
      await until('a datagram of another is whole', becomesWhole);
      // Of datagrams that never become whole: by default there is room for 4 MiB of all senders, for 30 s.
      const parts = Array.from({ length: 8000 }, (_, id) => fragment(port, gateway, id, 0, 24, true));
      for (let at = 0; at < parts.length; at += 1000) sent(...parts.slice(at, at + 1000));
      expect(becomesWhole()).toBe(true);
    } finally {
      execFileSync('ip', ['netns', 'del', guest]);
      await host.removePort(port, []);
    }
  });

  it('has a gateway that routes nothing by what the host is set to', () => {
    const off = gatewaySettings('br0').filter(([, value]) => value === 0);
    const settings = [['ip_forward', 0] as const, ...off];
    expect(settings).toContainEqual(['conf/br0/accept_source_route', 0]);
    expect(settings).toContainEqual(['conf/all/log_martians', 0]);
    const values = settings.map(([file]) => [file, Number(inside('cat', `/proc/sys/net/ipv4/${file}`))]);
    expect(values).toEqual(settings);
  });

  it('what an earlier Polykernel left is confined where it is', async () => {
    const old = `${name}-old`;
    const before = new HostNetwork(new NamedNamespace(old), '10.213.0.1/16');
    const within = (...argv: string[]) =>
      execFileSync('ip', ['netns', 'exec', old, ...argv], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    const [first, second] = [2, 3].map((number) => before.port(number, `10.213.0.${number}`, '255.255.0.0'));
    try {
      execFileSync('ip', ['netns', 'add', old]);
      within('ip', 'link', 'add', 'br0', 'type', 'bridge');
      within('ip', 'link', 'add', first!.peer, 'type', 'veth', 'peer', 'name', first!.interface);
      // A tap was the port itself.
      within('ip', 'tuntap', 'add', second!.interface, 'mode', 'tap');
      for (const device of [first!.peer, second!.interface]) within('ip', 'link', 'set', device, 'master', 'br0');
      for (const device of ['br0', first!.interface, first!.peer]) within('ip', 'link', 'set', device, 'up');
      within('nft', 'add', 'table', 'bridge', 'pk');
      within('bridge', 'fdb', 'add', '02:66:00:00:00:01', 'dev', first!.peer, 'master', 'dynamic');
      const group = [first!.peer, first!.interface, second!.peer, second!.interface];
      await before.takeOver([first!, second!], [group]);
      const facts = within('bridge', 'fdb', 'show', 'br', 'br0');
      expect(facts).toMatch(new RegExp(`${first!.mac} dev ${first!.peer} .*static`));
      expect(facts).toMatch(new RegExp(`${second!.mac} dev ${second!.interface} .*static`));
      expect(facts).not.toContain('02:66:00:00:00:01');
      expect(within('cat', '/proc/sys/net/ipv4/conf/br0/accept_source_route')).toBe('0\n');
      expect(within('nft', 'list', 'table', 'netdev', `pk-${second!.interface}`)).toContain('policy drop');
      expect(await before.ensure()).toBe(false);
    } finally {
      await before.remove();
    }
  });

  it('the filter of a port goes with it', async () => {
    await host.addPort(port, []);
    const table = inside('nft', 'list', 'table', 'netdev', `pk-${port.peer}`);
    expect(table).toContain(`device "${port.peer}"`);
    await host.removePort(port, []);
    expect(() => inside('nft', 'list', 'table', 'netdev', `pk-${port.peer}`)).toThrow();
    expect(await peers()).toEqual([neighbour.peer]);
  });
});
