/** The private network between real kernels: addresses, names, published ports, and what it keeps apart. */
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import { networkName } from '../../src/network/namespace.ts';
import { freePort } from '../support/http.ts';
import { Sandbox, until } from '../support/pk.ts';

async function get(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(5000) });
  return await answer.text();
}

describe('private network', () => {
  let sandbox: Sandbox;
  let shared: string;
  const ports: Record<string, number> = {};

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    shared = await mkdtemp(join(tmpdir(), 'pk-www-'));
    await chmod(shared, 0o755);
    await writeFile(join(shared, 'index.html'), 'served\n');
    for (const [name, driver] of [
      ['web', 'uml'],
      ['vm', 'qemu'],
    ] as const) {
      ports[name] = await freePort();
      const options = ['--driver', driver, '--memory', '256M', '-v', `${shared}:/www:ro`, '-p', `${ports[name]}:80`];
      const command = ['busybox', 'httpd', '-f', '-p', '80', '-h', '/www'];
      await sandbox.ok('run', '-d', '--name', name, ...options, '--', ...command);
    }
  });
  afterAll(async () => {
    await sandbox[Symbol.asyncDispose]();
    await rm(shared, { recursive: true });
  });

  const inspect = (name: string) => sandbox.json<InstanceStatus>('inspect', name);
  const sh = (name: string, script: string) => sandbox.pk(['exec', name, '--', 'sh', '-c', script]);
  const namespaces = () => execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' });

  it('leads published ports to kernels of both kinds', async () => {
    for (const name of ['web', 'vm'])
      expect(await until(`${name} answers`, () => get(ports[name]!).catch(() => undefined))).toBe('served\n');
  });

  it('lets kernels reach each other by name, also those that come later', async () => {
    for (const [from, to] of [
      ['web', 'vm'],
      ['vm', 'web'],
    ] as const)
      expect(await sh(from, `busybox wget -q -O - http://${to}/`)).toMatchObject({ code: 0, stdout: 'served\n' });
    const client = ['run', '--driver', 'uml', '--network', 'private', '--name', 'late', '--'];
    const ran = await sandbox.pk([...client, 'busybox', 'wget', '-q', '-O', '-', 'http://web/']);
    expect(ran).toMatchObject({ code: 0, stdout: 'served\n', stderr: '' });
  });

  it('keeps an address over a restart, and gives no kernel a way out', async () => {
    const { address } = await inspect('web');
    expect(address).toMatch(/^10\.213\.\d+\.\d+$/);
    await sandbox.ok('restart', 'web');
    expect((await inspect('web')).address).toBe(address);
    expect((await sh('web', 'ip route')).stdout.trim().split('\n')).toEqual([
      expect.stringMatching(/^10\.213\.0\.0\/16 dev vec0 /),
    ]);
    expect(await until('web answers again', () => get(ports.web!).catch(() => undefined))).toBe('served\n');
  });

  it('resets clients of a kernel that does not run, and serves them once it does', async () => {
    const code = () => get(ports.web!).catch(({ cause }) => (cause as { code?: string } | undefined)?.code);
    await sandbox.ok('stop', 'web');
    await until('clients are reset', async () => (await code()) === 'ECONNRESET');
    await sandbox.ok('start', 'web');
    expect(await until('web serves', async () => (await code()) === 'served\n')).toBe(true);
  });

  it('resets clients of a kernel that never gets ready', async () => {
    const port = await freePort();
    const root = join(shared, 'no.squashfs');
    await writeFile(root, Buffer.concat([Buffer.from('hsqs'), Buffer.alloc(65_536)]));
    const options = ['--driver', 'uml', '--rootfs', root, '-p', `${port}:80`];
    expect((await sandbox.pk(['run', '-d', '--name', 'never', ...options, '--', 'true'])).code).not.toBe(0);
    const code = () => get(port).catch(({ cause }) => (cause as { code?: string } | undefined)?.code);
    await until('clients are reset', async () => (await code()) === 'ECONNRESET');
    await sandbox.ok('rm', 'never');
  });

  it('is told whom an address is, rather than to ask, while it is somebody’s', async () => {
    const known = () =>
      execFileSync('ip', ['-n', networkName(sandbox.home), 'neigh', 'show', 'nud', 'permanent'], { encoding: 'utf8' });
    const { address } = await inspect('web');
    const mac = (await sh('web', 'cat /sys/class/net/vec0/address')).stdout.trim();
    expect(known()).toContain(`${address} dev br0 lladdr ${mac} PERMANENT`);
    await sandbox.ok('run', '--driver', 'uml', '--network', 'private', '--', 'true');
    const addresses = ['web', 'vm'].map(async (name) => (await inspect(name)).address);
    const all = () => known().match(/^\S+/gm)?.sort();
    expect(await until('the third is forgotten', async () => all()?.length === 2 && all())).toEqual(
      (await Promise.all(addresses)).sort(),
    );
  });

  it('has IPv6 before a program asks for it, as most servers do first', async () => {
    const command = ['grep', '-c', '^ipv6 ', '/proc/modules'];
    expect(await sandbox.ok('run', '--driver', 'uml', '--network', 'private', '--', ...command)).toBe('1\n');
  });

  it('gives a clone a card that can do what was not behind its template’s, and none to one without a network', async () => {
    expect((await inspect('vm')).cloned).toBe(true);
    const features = (await sh('vm', 'cat /sys/class/net/eth0/device/features')).stdout;
    // VIRTIO_NET_F_CSUM and VIRTIO_NET_F_HOST_TSO4.
    expect([features[0], features[11]]).toEqual(['1', '1']);
    const options = ['--driver', 'qemu', '--memory', '256M', '--network', 'none'];
    expect(await sandbox.ok('run', ...options, '--', 'ls', '/sys/class/net')).toBe('lo\n');
  });

  it('gives the address of a kernel that is gone to nobody soon', async () => {
    const addressIn = async () =>
      await sandbox.ok('run', '--driver', 'uml', '--network', 'private', '--', 'hostname', '-I');
    expect(await addressIn()).not.toBe(await addressIn());
  });

  it('lets no frame through with an address that is another’s', async () => {
    const reach = 'busybox ping -c 1 -W 2 10.213.0.1 >/dev/null && echo yes || echo no';
    for (const [name, card] of [
      ['web', 'vec0'],
      ['vm', 'eth0'],
    ] as const) {
      const { address } = await inspect(name);
      expect((await sh(name, reach)).stdout).toBe('yes\n');
      const wear = (ip: string) => `ip addr flush dev ${card}; ip addr add ${ip}/16 dev ${card};`;
      expect((await sh(name, `${wear('10.213.77.77')} ${reach}`)).stdout).toBe('no\n');
      expect((await sh(name, `${wear(address!)} ${reach}`)).stdout).toBe('yes\n');
    }
    // The card of a UML kernel is gone for good once it is taken down: it cannot change its address at all.
    const mac = (await sh('vm', 'cat /sys/class/net/eth0/address')).stdout.trim();
    const wear = (other: string) => `ip link set eth0 down; ip link set eth0 address ${other}; ip link set eth0 up;`;
    expect((await sh('vm', `${wear('02:50:0a:d5:77:77')} ${reach}`)).stdout).toBe('no\n');
    expect((await sh('vm', `${wear(mac)} ${reach}`)).stdout).toBe('yes\n');
  });

  it('goes on without its daemon, and finds everything again', async () => {
    const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
    process.kill(pid, 'SIGKILL');
    expect(await get(ports.vm!)).toBe('served\n');
    expect((await inspect('vm')).state).toBe('running');
    expect(await get(ports.vm!)).toBe('served\n');
  });

  it('names a port that is taken, by an instance or by another program', async () => {
    const taken = await sandbox.pk(['run', '--driver', 'uml', '-p', `${ports.web}:80`, '--', 'true']);
    expect(taken).toMatchObject({ code: 125, stderr: expect.stringContaining(`${ports.web}/tcp is published by web`) });
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const inUse = await sandbox.pk(['run', '--driver', 'uml', '-p', `${port}:80`, '--', 'true']);
    expect(inUse.code).toBe(125);
    expect(inUse.stderr).toContain(`port ${port}/tcp of 127.0.0.1 is in use`);
    server.close();
  });

  it('goes with the last that is in it', async () => {
    const own = networkName(sandbox.home);
    expect(namespaces()).toContain(own);
    for (const name of ['web', 'vm']) await sandbox.ok('rm', '-f', name);
    await expect(get(ports.web!)).rejects.toThrow();
    expect(namespaces()).not.toContain(own);
    expect(await sandbox.processes()).toHaveLength(1);
  });
});
