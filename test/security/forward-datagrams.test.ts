/** pk-forward for UDP: what one client, or one that forges addresses, can do to the others. In its own network namespace, as root. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nativeProgram } from '../support/native.ts';
import { finished, until } from '../support/pk.ts';

const FLOWS = 1024;

describe.runIf(process.getuid?.() === 0)('pk-forward udp', () => {
  let directory: string;
  let server: Socket;
  let port: number;
  let child: ChildProcess | undefined;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'pk-datagrams-'));
    // Says what it was told, and by which flow.
    server = await bound('127.0.0.1');
    server.on('message', (text, from) => server.send(`${from.port} ${text}`, from.port, from.address));
  });
  afterEach(() => {
    for (const socket of sockets) socket.close();
    sockets.clear();
    const pid = forwardPid();
    if (pid > 0 && existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
    child?.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  });

  const forwardPid = () =>
    existsSync(join(directory, 'pid')) ? Number.parseInt(readFileSync(join(directory, 'pid'), 'latin1'), 10) : 0;
  const openFiles = () => readdirSync(`/proc/${forwardPid()}/fd`).length;

  async function bound(address: string): Promise<Socket> {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4').bind(0, address);
    sockets.add(socket);
    await once(socket, 'listening');
    return socket;
  }

  /** At a port that is free, of `address`. */
  async function ready(address = '127.0.0.1', protocol = 'udp'): Promise<void> {
    const probe = await bound(address);
    ({ port } = probe.address());
    sockets.delete(probe);
    await new Promise<void>((resolve) => probe.close(() => resolve()));
    const target = ['127.0.0.1', String(server.address().port)];
    const argv = [join(directory, 'pid'), address, String(port), '/proc/self/ns/net', ...target, protocol];
    child = spawn(await nativeProgram('pk-forward'), argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    expect(String((await once(child.stdout!, 'data'))[0])).toBe('ready\n');
  }

  /** What comes back for a text, told again until it does: datagrams may be lost. Gives the flow's port at the server. */
  async function flowOf(client: Socket, text = 'hello', to = '127.0.0.1'): Promise<number> {
    let answer: string | undefined;
    let from: RemoteInfo | undefined;
    const hear = (message: Buffer, info: RemoteInfo) => {
      if (!String(message).endsWith(` ${text}`)) return;
      answer = String(message);
      from = info;
    };
    client.on('message', hear);
    await until('an answer', () => {
      if (answer === undefined) client.send(text, port, to);
      return answer;
    });
    client.off('message', hear);
    // From where it was spoken to, or the client would not take it.
    expect(from).toMatchObject({ address: to, port });
    return Number.parseInt(answer!, 10);
  }

  /** A client that went on after an answer. */
  async function known(address: string, text = 'hello'): Promise<{ client: Socket; flow: number }> {
    const client = await bound(address);
    const flow = await flowOf(client, `${text} 1`);
    expect(await flowOf(client, `${text} 2`)).toBe(flow);
    return { client, flow };
  }

  /** One datagram of each; waits until the server has heard the last, told again as above. */
  async function strangers(addresses: readonly string[], text: string): Promise<void> {
    let last: Socket | undefined;
    for (const address of addresses) {
      last = await bound(address);
      last.send(text, port, '127.0.0.1');
      if (sockets.size % 64 === 0) await flowOf(last, `${text} so far`);
    }
    await flowOf(last!, `${text} end`);
  }

  it('takes datagrams to the target, and answers to who asked, of any size', async () => {
    await ready();
    const [one, other] = [await bound('127.0.0.1'), await bound('127.0.0.1')];
    const flows = await Promise.all([flowOf(one, 'one'), flowOf(other, 'other')]);
    expect(flows[0]).not.toBe(flows[1]);
    for (const length of [0, 1, 1472, 9000, 60_000]) expect(await flowOf(one, 'x'.repeat(length))).toBe(flows[0]);
  });

  it.each(['0.0.0.0', '::', '::1'])(
    'listens at %s, and answers from the address that was spoken to',
    async (address) => {
      await ready(address);
      for (const to of address === '0.0.0.0' ? ['127.0.0.1', '127.0.0.7'] : ['::1']) {
        const client = await bound(to.includes(':') ? '::1' : '127.0.0.9');
        expect(await flowOf(client, 'hello', to)).toBeGreaterThan(0);
      }
    },
  );

  it('is not closed to others by one address with more flows than there are places', async () => {
    await ready();
    const { client: honest, flow } = await known('127.0.0.3');
    await strangers(new Array(FLOWS + 200).fill('127.0.0.2'), 'many');
    // It kept its place, and one that comes now gets one, and keeps it as more come.
    expect(await flowOf(honest, 'still')).toBe(flow);
    const late = await known('127.0.0.4', 'late');
    await strangers(new Array(200).fill('127.0.0.2'), 'more');
    expect(await flowOf(late.client, 'still late')).toBe(late.flow);
    expect(openFiles()).toBeLessThanOrEqual(FLOWS + 64);
  }, 120_000);

  it('takes no place of one that is known for addresses that nobody answers from, however many', async () => {
    await ready();
    // Several of one address, such as a resolver's.
    const honest = [];
    for (let index = 0; index < 20; index += 1) honest.push(await known('127.0.0.3', `client ${index}`));
    await strangers(
      Array.from({ length: FLOWS + 200 }, (_, at) => `127.1.${at >> 8}.${at & 255}`),
      'forged',
    );
    for (const { client, flow } of honest) expect(await flowOf(client, 'again')).toBe(flow);
    expect(openFiles()).toBeLessThanOrEqual(FLOWS + 64);
  }, 120_000);

  it('takes no ports from other published ports, however many flows it has', async () => {
    const settings = 'ip link set lo up && echo 40000 40015 >/proc/sys/net/ipv4/ip_local_port_range';
    const script = [process.execPath, join(import.meta.dirname, '../fixtures/many-forwards.ts')];
    const inside = [...script, await nativeProgram('pk-forward'), directory];
    const run = spawn('unshare', ['--net', '--', 'sh', '-c', `${settings} && exec "$0" "$@"`, ...inside]);
    const { stdout, stderr } = await finished(run);
    for (const name of readdirSync(directory))
      process.kill(Number.parseInt(readFileSync(join(directory, name), 'latin1'), 10), 'SIGKILL');
    expect({ stdout, stderr }).toEqual({ stdout: '{"many":100,"other":true}\n', stderr: '' });
  }, 60_000);

  it('has ports of its own where several lead to the same target, which tells its answers from theirs', async () => {
    await ready('127.0.0.1', 'udp:2/3');
    const flows: number[] = [];
    for (let index = 0; index < 30; index += 1) flows.push(await flowOf(await bound('127.0.0.1'), `client ${index}`));
    expect(flows.map((flow) => (flow - 1024) % 3)).toEqual(flows.map(() => 2));
    expect(new Set(flows).size).toBe(flows.length);
  });

  it('goes on after a target that was not there, and forgets its flows when it is told that it is gone', async () => {
    await ready();
    const at = server.address().port;
    sockets.delete(server);
    await new Promise<void>((resolve) => server.close(() => resolve()));
    const client = await bound('127.0.0.1');
    client.send('nobody', port, '127.0.0.1');
    await until('it has a flow', () => openFiles() > 0);
    server = createSocket('udp4').bind(at, '127.0.0.1');
    sockets.add(server);
    await once(server, 'listening');
    server.on('message', (text, from) => server.send(`${from.port} ${text}`, from.port, from.address));
    await flowOf(client);
    const files = openFiles();
    process.kill(forwardPid(), 'SIGURG');
    await until('its flow is closed', () => openFiles() === files - 1);
    await flowOf(client, 'anew');
    expect(openFiles()).toBe(files);
  });
});
