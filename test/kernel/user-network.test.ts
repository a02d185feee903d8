/** The private network of a user without root, between real kernels of both kinds. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import { cacheDirectory } from '../../src/sys/paths.ts';
import { findTool } from '../../src/sys/tools.ts';
import { hostProcesses } from '../support/host-processes.ts';
import { freePort } from '../support/http.ts';
import { PK, Sandbox, until } from '../support/pk.ts';

const NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
/** As nobody, with a /dev/net/tun that everybody may open, as nearly all machines have it. */
const asNobody = (tun: string) => [
  ...['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /dev/net/tun && exec "$@"', tun],
  ...NOBODY,
];
const works = (...argv: string[]) => spawnSync(NOBODY[0]!, [...NOBODY.slice(1), ...argv]).status === 0;
// Only root can start as another user; nobody may read a checkout in /root; some hosts let no user make namespaces.
const isPossible = process.getuid?.() === 0 && works('test', '-r', PK) && works('unshare', '-Urn', 'true');

const get = async (port: number) =>
  await (await fetch(`http://127.0.0.1:${port}/hostname`, { signal: AbortSignal.timeout(5000) })).text();

describe.runIf(isPossible)('private network without root', () => {
  let base: string;
  let sandbox: Sandbox;
  const ports: Record<string, number> = {};

  beforeAll(async () => {
    base = mkdtempSync(join(tmpdir(), 'pk-user-'));
    for (const part of ['native', 'images'])
      cpSync(join(cacheDirectory(), part), join(base, 'cache', part), { recursive: true });
    execFileSync('mknod', [join(base, 'tun'), 'c', '10', '200']);
    chmodSync(join(base, 'tun'), 0o666);
    execFileSync('chown', ['-R', '65534:65534', base]);
    const home = join(base, 'home');
    const own = { HOME: base, POLYKERNEL_HOME: home, POLYKERNEL_CACHE: join(base, 'cache'), NO_COLOR: '1' };
    sandbox = new Sandbox(home, { ...process.env, ...own }, asNobody(join(base, 'tun')));
    for (const [name, driver] of [
      ['web', 'uml'],
      ['vm', 'qemu'],
    ] as const) {
      ports[name] = await freePort();
      const options = ['--driver', driver, '--memory', '256M', '-p', `${ports[name]}:80`];
      await sandbox.ok(
        'run',
        '-d',
        '--name',
        name,
        ...options,
        '--',
        'busybox',
        'httpd',
        '-f',
        '-p',
        '80',
        '-h',
        '/etc',
      );
    }
  });
  afterAll(async () => {
    await sandbox[Symbol.asyncDispose]();
    rmSync(base, { recursive: true });
  });

  const inspect = (name: string) => sandbox.json<InstanceStatus>('inspect', name);
  const sh = (name: string, script: string) => sandbox.pk(['exec', name, '--', 'sh', '-c', script]);
  const fetchFrom = (name: string, to: string) => sh(name, `timeout 5 busybox wget -q -O - http://${to}/hostname`);
  const keeper = () => Number(readFileSync(join(base, 'home/network.keeper'), 'latin1').split(' ')[0]);
  const keepers = () => hostProcesses(`pk-netns\0${join(base, 'home')}`);
  const killDaemon = async () => {
    const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
    process.kill(pid, 'SIGKILL');
    await until('the daemon is gone', () => !existsSync(`/proc/${pid}`));
  };

  it('leads published ports to kernels of both kinds, and these to each other by name', async () => {
    for (const name of ['web', 'vm'])
      expect(await until(`${name} answers`, () => get(ports[name]!).catch(() => undefined))).toBe(`${name}\n`);
    expect((await fetchFrom('web', 'vm')).stdout).toBe('vm\n');
    expect((await fetchFrom('vm', 'web')).stdout).toBe('web\n');
    expect(readFileSync(`/proc/${keeper()}/status`, 'utf8')).toMatch(/^Uid:\s65534\s65534\s/m);
  });

  it('confines each port as with root', async () => {
    const enter = ['--preserve-credentials', '--user', '--net', '--target', String(keeper()), '--'];
    const asOwner = [...NOBODY.slice(1), findTool('nsenter')!.path, ...enter];
    const inside = (...argv: string[]) => execFileSync(NOBODY[0]!, [...asOwner, ...argv], { encoding: 'utf8' });
    for (const name of ['web', 'vm']) {
      const { address } = await inspect(name);
      const port = `p${address!.split('.').at(-1)}`;
      expect(inside('nft', 'list', 'table', 'netdev', `pk-${port}`)).toMatch(/hook ingress .*policy drop/);
      expect(inside('bridge', 'fdb', 'show', 'dev', port)).toMatch(/^02:50:0a:d5:\S+ master br0 static/m);
      expect(inside('ip', '-d', 'link', 'show', port)).toMatch(/ learning off flood off /);
    }
    // The other ends are with who runs the kernels.
    expect(inside('ip', '-o', 'link')).not.toMatch(/^\d+: k\d+/m);
  });

  it('lets no frame through with an address that is another’s', async () => {
    const { address } = await inspect('vm');
    const reach = 'busybox ping -c 1 -W 2 10.213.0.1 >/dev/null && echo yes || echo no';
    const wear = (ip: string) => `ip addr flush dev eth0; ip addr add ${ip}/16 dev eth0;`;
    expect((await sh('vm', reach)).stdout).toBe('yes\n');
    expect((await sh('vm', `${wear('10.213.77.77')} ${reach}`)).stdout).toBe('no\n');
    expect((await sh('vm', `${wear(address!)} ${reach}`)).stdout).toBe('yes\n');
  });

  it('has no way out, and says what that takes', async () => {
    const refused = await sandbox.pk(['run', '--driver', 'uml', '--network', 'egress', '--', 'true']);
    expect(refused).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/egress .*take root\n.*daemon as root/s),
    });
    expect((await sh('web', 'ip route')).stdout).not.toContain('default');
  });

  it('goes on without its daemon, and the next finds it again', async () => {
    const before = keeper();
    await killDaemon();
    expect(await get(ports.vm!)).toBe('vm\n');
    expect((await inspect('vm')).state).toBe('running');
    expect(keeper()).toBe(before);
    const late = ['run', '--driver', 'uml', '--network', 'private', '--', 'busybox', 'wget', '-q', '-O', '-'];
    expect(await sandbox.pk([...late, 'http://web/hostname'])).toMatchObject({ code: 0, stdout: 'web\n' });
  });

  it('is made anew when its keeper was killed; who was in it says so, and joins again at a restart', async () => {
    const events = sandbox.start('events', '--since', '0');
    let told = '';
    events.stdout!.setEncoding('utf8').on('data', (text: string) => {
      told += text;
    });
    process.kill(keeper(), 'SIGKILL');
    await sandbox.ok('restart', 'web');
    await until('vm is told of', () => /network-lost +vm {2}.*restart vm/.test(told));
    events.kill('SIGKILL');
    expect((await fetchFrom('web', 'vm')).code).not.toBe(0);
    await sandbox.ok('restart', 'vm');
    expect(await until('vm is reached again', async () => (await fetchFrom('web', 'vm')).stdout)).toBe('vm\n');
    for (const name of ['web', 'vm'])
      expect(await until(`${name} answers`, () => get(ports[name]!).catch(() => undefined))).toBe(`${name}\n`);
  });

  it('goes with the last that is in it, also when the daemon was killed meanwhile', async () => {
    expect(await keepers()).toEqual([keeper()]);
    await sandbox.ok('rm', '-f', 'web');
    expect(await keepers()).toHaveLength(1);
    await killDaemon();
    await sandbox.ok('rm', '-f', 'vm');
    expect(await keepers()).toEqual([]);
    expect(await sandbox.processes()).toHaveLength(1);
  });

  it('is ended by the next daemon when those in it ended with the one before', async () => {
    const running = sandbox.start('run', '--driver', 'uml', '--network', 'private', '--', 'sleep', '1000');
    await until('a keeper runs', async () => (await keepers()).length > 0);
    await killDaemon();
    running.kill('SIGKILL');
    await sandbox.ok('ps');
    await until('the keeper is gone', async () => (await keepers()).length === 0);
  });
});
