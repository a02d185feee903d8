/** The way out of the private network. What is outside is a namespace of the test, which the host reaches by a veth pair. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import { resolvConf } from '../../src/network/nameservers.ts';
import { networkName } from '../../src/network/namespace.ts';
import { compileFrames, ipv4, RST, SYN, tcp } from '../support/frames.ts';
import { Sandbox, until } from '../support/pk.ts';

const OUTSIDE = '198.51.100.2';
/** Nobody there, who would end what was begun. */
const SILENT = '198.51.100.77';
const HOST = '198.51.100.1';
const PORT = 8080;
const FORWARDING = '/proc/sys/net/ipv4/ip_forward';
/** Says who asked. */
const SERVER = `require('node:http').createServer((request, response) =>
  response.end(request.socket.remoteAddress)).listen(${PORT}, '0.0.0.0', () => console.log('ready'))`;

const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' });
const tables = () => execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });

describe.runIf(process.getuid?.() === 0)('egress', () => {
  const outside = `pkt-${process.pid}`;
  const veth = `pkt${process.pid}`;
  const forwarding = readFileSync(FORWARDING, 'latin1');
  let sandbox: Sandbox;
  let server: ChildProcess;
  let own: Server;
  let hostPort: number;

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    ip('netns', 'add', outside);
    ip('link', 'add', veth, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', outside);
    ip('addr', 'add', `${HOST}/24`, 'dev', veth);
    ip('link', 'set', veth, 'up');
    for (const args of [`addr add ${OUTSIDE}/24 dev eth0`, 'link set eth0 up', 'link set lo up'])
      ip('-n', outside, ...args.split(' '));
    server = spawn('ip', ['netns', 'exec', outside, process.execPath, '-e', SERVER], { stdio: ['ignore', 'pipe', 2] });
    await new Promise((resolve) => server.stdout!.once('data', resolve));
    own = createServer((socket) => socket.end('the host\n')).listen(0, '0.0.0.0');
    await new Promise((resolve) => own.once('listening', resolve));
    hostPort = (own.address() as { port: number }).port;
    for (const [name, driver, network] of [
      ['out', 'uml', 'egress'],
      ['vm', 'qemu', 'egress'],
      ['in', 'uml', 'private'],
    ] as const) {
      const options = ['--driver', driver, '--memory', '256M', '--network', network, '--name', name];
      await sandbox.ok('run', '-d', ...options, '--', 'busybox', 'httpd', '-f', '-p', '80', '-h', '/etc');
    }
  });
  afterAll(async () => {
    await sandbox[Symbol.asyncDispose]();
    own.close();
    server.kill('SIGKILL');
    ip('netns', 'del', outside);
  });

  const sh = (name: string, script: string) => sandbox.pk(['exec', name, '--', 'sh', '-c', script]);
  const inspect = (name: string) => sandbox.json<InstanceStatus>('inspect', name);
  const fetchFrom = (name: string, to: string) => sh(name, `timeout 4 busybox wget -q -O - http://${to}`);
  /** Whether a connection can be begun, from where `prefix` runs a program. */
  const connects = (prefix: readonly string[], to: string, port: number) => {
    const [program, ...args] = [...prefix, 'busybox', 'nc', '-w', '2', to, String(port)];
    const child = spawn(program!, args, { stdio: ['ignore', 'ignore', 'ignore'] });
    return new Promise<string>((resolve) => child.on('close', (code) => resolve(code === 0 ? 'yes' : 'no')));
  };
  /** The daemon's interface and table on the host. */
  const uplink = () => {
    const name = networkName(sandbox.home);
    return ip('-o', 'link', 'show', 'type', 'veth').includes(`: ${name}@`) ? name : undefined;
  };

  it('leads kernels of both kinds out, under an address of the host', async () => {
    for (const name of ['out', 'vm'])
      expect(await fetchFrom(name, `${OUTSIDE}:${PORT}`)).toMatchObject({ code: 0, stdout: HOST });
  });

  it('has a gateway whose hardware address stays, whichever ports come and go', () => {
    expect(ip('-n', uplink()!, '-o', 'link', 'show', 'br0')).toContain('02:50:0a:d5:00:01');
  });

  it('tells them which name servers to ask', async () => {
    expect((await sh('out', 'cat /etc/resolv.conf')).stdout).toBe(resolvConf());
    expect((await sh('vm', 'cat /etc/resolv.conf')).stdout).toBe(resolvConf());
  });

  it('leads nobody else out, not even one that gives itself a route', async () => {
    const route = 'ip route add default via 10.213.0.1;';
    expect((await fetchFrom('in', `${OUTSIDE}:${PORT}`)).code).not.toBe(0);
    expect((await sh('in', `${route} timeout 4 busybox wget -q -O - http://${OUTSIDE}:${PORT}/`)).code).not.toBe(0);
    const { address } = await inspect('out');
    expect((await fetchFrom('in', `${address}/hostname`)).stdout).toBe('out\n');
  });

  it('does not lead to the host itself, on whichever of its addresses', async () => {
    const name = uplink()!;
    const [gateway] = /10\.214\.\d+\.\d+/.exec(ip('-o', '-4', 'addr', 'show', 'dev', name))!;
    for (const to of [HOST, gateway]) {
      expect(await connects([], to, hostPort)).toBe('yes');
      expect((await fetchFrom('out', `${to}:${hostPort}`)).code).not.toBe(0);
    }
  });

  it('does not lead to where clouds answer a machine with its own keys', async () => {
    const addresses = ['169.254.169.254', '168.63.129.16', '100.100.100.200', '192.0.0.192'];
    for (const address of addresses) {
      ip('-n', outside, 'addr', 'add', `${address}/32`, 'dev', 'eth0');
      ip('route', 'add', `${address}/32`, 'via', OUTSIDE, 'dev', veth);
    }
    try {
      for (const address of addresses) {
        expect(await connects([], address, PORT)).toBe('yes');
        expect((await fetchFrom('out', `${address}:${PORT}`)).code).not.toBe(0);
      }
      expect((await fetchFrom('out', `${OUTSIDE}:${PORT}`)).stdout).toBe(HOST);
    } finally {
      for (const address of addresses) ip('route', 'del', `${address}/32`);
    }
  });

  it('does not lead there where the host leads those addresses elsewhere, as for containers and proxies of metadata', async () => {
    const led = ['169.254.169.254', HOST, '198.51.100.9'].map(
      (address) => `iifname "${uplink()}" ip daddr ${address} tcp dport ${PORT} dnat to ${OUTSIDE}`,
    );
    const table = `pkt-${process.pid}`;
    const chain = `type nat hook prerouting priority dstnat;\n${led.join('\n')}`;
    execFileSync('nft', ['-f', '-'], { input: `table ip ${table} {\nchain led {\n${chain}\n}\n}` });
    try {
      expect((await fetchFrom('out', `198.51.100.9:${PORT}`)).stdout).toBe(HOST);
      expect((await fetchFrom('out', `169.254.169.254:${PORT}`)).code).not.toBe(0);
      expect((await fetchFrom('out', `${HOST}:${PORT}`)).code).not.toBe(0);
    } finally {
      execFileSync('nft', ['delete', 'table', 'ip', table]);
    }
  });

  it('lets nothing outside begin a connection to inside, whatever routes there are', async () => {
    const { address } = await inspect('out');
    const name = uplink()!;
    const [, inside] = /default via (\S+)/.exec(ip('-n', name, 'route'))!;
    const gateway = inside!;
    const peer = gateway.replace(/\d+$/, (last) => String(Number(last) + 1));
    ip('route', 'add', '10.213.0.0/16', 'via', peer, 'dev', name);
    ip('-n', outside, 'route', 'add', 'default', 'via', HOST);
    for (const to of [address!, peer, '10.213.0.1'])
      expect(await connects(['ip', 'netns', 'exec', outside], to, 80)).toBe('no');
    expect(await connects([], address!, 80)).toBe('no');
    ip('route', 'del', '10.213.0.0/16');
  });

  it('remembers no connection but those it counts, and none shorter than the host does', async () => {
    const shared = mkdtempSync(join(tmpdir(), 'pk-frames-'));
    chmodSync(shared, 0o755);
    await compileFrames(join(shared, 'frames'));
    const options = ['--driver', 'uml', '--memory', '256M', '-v', `${shared}:/frames:ro`];
    const shown = (...prefix: string[]) => {
      const [program, ...args] = [...prefix, 'cat', '/proc/net/nf_conntrack'];
      return execFileSync(program!, args, { encoding: 'utf8', maxBuffer: 1e8 });
    };
    try {
      for (const network of ['egress', 'private']) {
        await sandbox.ok('run', '-d', '--name', network, '--network', network, ...options, '--', 'sleep', '1000');
        const source = (await inspect(network)).address!;
        const from = `02:50:0a:d5:00:${Number(source.split('.')[3]).toString(16).padStart(2, '0')}`;
        const ends = { to: '02:50:0a:d5:00:01', from, target: SILENT, source };
        // The gateway sends these resets no further: one has come too far, the other asks for a way that is not gone.
        const resets = [
          { port: 40_001, ttl: 1 },
          { port: 40_002, options: [0x89, 7, 4, 198, 51, 100, 9, 0] },
        ];
        const frames = resets.flatMap((way) => [
          tcp(ends, { port: way.port, flags: SYN, number: 1 }),
          tcp(ends, { ...way, flags: RST, number: 2 }),
        ]);
        const toItself = ['10.213.0.1', '224.0.0.1'].map((target) => ipv4(ends.to, from, target, source, 'x'));
        await sandbox.ok('exec', network, '--', '/frames/frames', 'vec0', ...frames, ...toItself);
        // What was sent before has arrived.
        expect(await sh(network, 'busybox ping -c 1 -W 5 10.213.0.1')).toMatchObject({ code: 0 });
        const ports = shown('ip', 'netns', 'exec', uplink()!)
          .split('\n')
          .flatMap((line) => (line.includes(`src=${source} `) ? (/sport=(\d+) dport=9 /.exec(line)?.[1] ?? []) : []))
          .sort();
        expect(ports).toEqual(network === 'egress' ? ['40001', '40002'] : []);
        for (const port of ports) expect(shown()).toContain(`sport=${port} dport=9 `);
      }
    } finally {
      await sandbox.pk(['rm', '-f', 'egress', 'private']);
      rmSync(shared, { recursive: true });
    }
  });

  it('keeps what one kernel can open at once from filling the table of all', async () => {
    // The checkout may lie where not everybody may enter.
    const node = ['-v', `${process.execPath}:/opt/node:ro`];
    const options = ['--driver', 'uml', '--memory', '512M', '--network', 'egress', '--name', 'flood', ...node];
    await sandbox.ok('run', '-d', ...options, '--', 'sleep', '1000');
    const script = `const socket = require('node:dgram').createSocket('udp4');
      let left = 6000;
      const next = () => left-- > 0 ? socket.send('x', 10000 + left, '${OUTSIDE}', next) : socket.close();
      socket.on('error', () => {});
      next();`;
    const { address } = await inspect('flood');
    const ran = await sandbox.pk(['exec', 'flood', '--', '/opt/node', '-e', script]);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    const flows = execFileSync('ip', [
      ...['netns', 'exec', uplink()!],
      ...['cat', '/proc/sys/net/netfilter/nf_conntrack_count'],
    ]);
    expect(Number(flows)).toBeGreaterThan(4000);
    expect(Number(flows)).toBeLessThan(4400);
    expect((await fetchFrom('vm', `${OUTSIDE}:${PORT}`)).stdout).toBe(HOST);
    await sandbox.ok('rm', '-f', 'flood');
    // Nor does it close the way to whoever gets its address next.
    const counted = execFileSync('ip', ['netns', 'exec', uplink()!, 'nft', 'list', 'set', 'ip', 'pk', 'flows']);
    expect(counted.toString()).not.toContain(`${address} `);
  });

  it('lets no kernel fill the table that the host has for neighbours in all its networks', async () => {
    ip('addr', 'add', '198.18.0.1/16', 'dev', veth);
    ip('-n', outside, 'addr', 'add', '198.18.0.2/16', 'dev', 'eth0');
    // Nothing takes this one; its gateway is known when an instance comes that gets out.
    ip('route', 'add', 'default', 'via', OUTSIDE, 'dev', veth, 'metric', '4000000', 'table', '77');
    ip('route', 'add', '203.0.113.0/24', 'via', OUTSIDE, 'dev', veth);
    ip('-n', outside, 'addr', 'add', '203.0.113.9/32', 'dev', 'eth0');
    const node = ['-v', `${process.execPath}:/opt/node:ro`];
    const options = ['--driver', 'uml', '--memory', '512M', '--network', 'egress', '--name', 'scan', ...node];
    await sandbox.ok('run', '-d', ...options, '--', 'sleep', '1000');
    const neighbours = () => ip('neigh', 'show', 'dev', veth).match(/^198\.18\./gm) ?? [];
    const script = `const socket = require('node:dgram').createSocket('udp4');
      let left = 500;
      const next = () => left-- > 0
        ? socket.send('x', 9, '198.18.' + (1 + Math.floor(left / 250)) + '.' + (1 + left % 250), next) : socket.close();
      socket.on('error', () => {});
      next();`;
    try {
      await sandbox.ok('exec', 'scan', '--', '/opt/node', '-e', script);
      expect(neighbours().length).toBeGreaterThan(0);
      expect(neighbours().length).toBeLessThan(250);
      expect((await fetchFrom('vm', `203.0.113.9:${PORT}`)).stdout).toBe(HOST);
      // One that answers is met when there is room again.
      await until('a neighbour is met', async () => (await fetchFrom('out', `198.18.0.2:${PORT}`)).code === 0);
    } finally {
      await sandbox.pk(['rm', '-f', 'scan']);
      ip('route', 'del', '203.0.113.0/24');
      ip('route', 'del', 'default', 'table', '77');
      ip('addr', 'del', '198.18.0.1/16', 'dev', veth);
    }
  });

  it('closes for a kernel whose stack file asks for no way out any more', async () => {
    const file = join(sandbox.home, 'stack.yaml');
    const apply = async (network: string) => {
      writeFileSync(file, `kernels: {was: {driver: uml, network: ${network}, command: [sleep, "1000"]}}`);
      await sandbox.ok('apply', '-f', file);
    };
    await apply('egress');
    expect(await fetchFrom('was', `${OUTSIDE}:${PORT}`)).toMatchObject({ code: 0, stdout: HOST });
    await apply('private');
    const route = 'ip route add default via 10.213.0.1;';
    expect((await sh('was', `${route} timeout 4 busybox wget -q -O - http://${OUTSIDE}:${PORT}/`)).code).not.toBe(0);
    await apply('none');
    expect((await sh('was', 'ls /sys/class/net')).stdout).toBe('lo\n');
    await sandbox.ok('destroy', '-f', file);
  });

  it('lasts without its daemon, and is found again by the next', async () => {
    const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
    process.kill(pid, 'SIGKILL');
    await until('the daemon is gone', () => !existsSync(`/proc/${pid}`));
    expect((await inspect('out')).state).toBe('running');
    expect((await fetchFrom('out', `${OUTSIDE}:${PORT}`)).stdout).toBe(HOST);
  });

  it('closes with the last that has it, also when the daemon was killed meanwhile', async () => {
    const name = uplink()!;
    expect(tables()).toContain(name);
    await sandbox.ok('rm', '-f', 'vm');
    expect((await fetchFrom('out', `${OUTSIDE}:${PORT}`)).stdout).toBe(HOST);
    const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
    process.kill(pid, 'SIGKILL');
    await until('the daemon is gone', () => !existsSync(`/proc/${pid}`));
    await sandbox.ok('rm', '-f', 'out');
    expect(tables()).not.toContain(name);
    expect(uplink()).not.toBe(name);
    expect(readFileSync(FORWARDING, 'latin1')).toBe(forwarding);
    expect((await inspect('in')).state).toBe('running');
    await sandbox.ok('rm', '-f', 'in');
    expect(existsSync(`/run/netns/${name}`)).toBe(false);
  });
});
