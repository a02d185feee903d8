/** pk-forward: what one client of a published port can do to the others. In its own network namespace, as root. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../support/http.ts';
import { nativeProgram } from '../support/native.ts';
import { finished, until } from '../support/pk.ts';

const PAIRS = 1024;

describe.runIf(process.getuid?.() === 0)('pk-forward', () => {
  let directory: string;
  let program: string;
  let port: number;
  let server: Server;
  const sockets = new Set<Socket>();
  let child: ChildProcess | undefined;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'pk-forward-'));
    program = await nativeProgram('pk-forward');
    server = createServer((socket) => socket.on('error', () => {}).pipe(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = await freePort();
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    server.close();
    const pid = existsSync(join(directory, 'pid')) ? Number(readFileSync(join(directory, 'pid'), 'latin1')) : 0;
    if (pid > 0 && existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
    child?.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  });

  /** Starts it; `prefix`: a program that runs it. */
  function start(...prefix: string[]): ChildProcess {
    const target = String((server.address() as { port: number }).port);
    const argv = [
      program,
      join(directory, 'pid'),
      '127.0.0.1',
      String(port),
      '/proc/self/ns/net',
      '127.0.0.1',
      target,
      'tcp',
    ];
    const [first, ...rest] = [...prefix, ...argv];
    child = spawn(first!, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    return child;
  }

  async function ready(...prefix: string[]): Promise<void> {
    const started = start(...prefix);
    const said = await Promise.race([once(started.stdout!, 'data'), once(started, 'close')]);
    expect(String(said[0])).toBe('ready\n');
  }

  /** A connected client; undefined when it was reset before. */
  function client(localAddress = '127.0.0.1'): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress }, () => resolve(socket));
      socket.on('error', reject);
      sockets.add(socket);
    });
  }

  /** Whether what it says comes back. */
  async function echoes(socket: Socket): Promise<boolean> {
    return await new Promise((resolve) => {
      socket.once('data', (data) => resolve(String(data) === 'hello'));
      socket.once('close', () => resolve(false)).once('error', () => resolve(false));
      socket.write('hello');
    });
  }

  const many = async (count: number, from?: string) =>
    await Promise.all(Array.from({ length: count }, () => client(from)));

  it('takes the open files it needs, whatever limit it was started with', async () => {
    await ready('sh', '-c', 'ulimit -Sn 100; exec "$0" "$@"');
    const clients = await many(300);
    expect(await Promise.all(clients.map(echoes))).not.toContain(false);
  });

  it('says so before it is ready where it may not have them', async () => {
    const poor = ['setpriv', '--bounding-set', '-sys_resource', 'sh', '-c', 'ulimit -n 1024; exec "$0" "$@"'];
    const { code, stdout, stderr } = await finished(start(...poor));
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      'pk-forward: it needs 3136 open files, and the limit is 1024: raise it (ulimit -Hn, LimitNOFILE=)\n',
    );
  });

  it('is not closed by clients that say nothing', async () => {
    await ready();
    const idle = await many(PAIRS);
    const ended = Promise.race(idle.map((socket) => new Promise((resolve) => socket.on('error', resolve))));
    // From the same address, as all on this machine are.
    const late = await client();
    expect(await echoes(late)).toBe(true);
    await ended;
    expect(await echoes(late)).toBe(true);
  });

  it('is not closed to others by one address, however busy, nor do those who are heard make room for it', async () => {
    await ready();
    const honest = await client('127.0.0.3');
    expect(await echoes(honest)).toBe(true);
    const busy = await many(PAIRS - 1, '127.0.0.2');
    expect(await Promise.all(busy.map(echoes))).not.toContain(false);
    const late = await client('127.0.0.4');
    expect(await echoes(late)).toBe(true);
    await until('one of the many made room', () => busy.filter(({ destroyed }) => destroyed).length === 1);
    // Nobody is silent: one more of the many is itself reset.
    const more = await client('127.0.0.2').then(echoes, () => false);
    expect(more).toBe(false);
    for (const socket of [honest, late]) expect(await echoes(socket)).toBe(true);
  });

  it('tells addresses apart whose last bits are the same', async () => {
    await ready();
    const busy = await many(PAIRS, '127.0.16.1');
    expect(await Promise.all(busy.map(echoes))).not.toContain(false);
    expect(await client('127.0.0.1').then(echoes, () => false)).toBe(true);
  });

  it('has a place for an address that has none, also against as many busy ones as it has places', async () => {
    await ready();
    const busy = await Promise.all(Array.from({ length: PAIRS }, (_, at) => client(`127.1.${at >> 8}.${at & 255}`)));
    expect(await Promise.all(busy.map(echoes))).not.toContain(false);
    // The first is the longest silent.
    expect(await Promise.all(busy.slice(1).map(echoes))).not.toContain(false);
    const late = await client('127.0.0.1');
    await until('the longest silent made room', () => busy[0]!.destroyed);
    // Another newcomer does not take the place of one that has said nothing yet.
    const later = await client('127.0.0.2');
    await until('the next made room', () => busy.filter(({ destroyed }) => destroyed).length === 2);
    for (const socket of [late, later]) expect(await echoes(socket)).toBe(true);
    // That was its share while all are busy.
    expect(await client('127.0.0.1').then(echoes, () => false)).toBe(false);
  }, 60_000);

  it('makes no connection to the target for clients that are gone before it looks', async () => {
    await ready();
    let reached = 0;
    server.on('connection', () => reached++);
    const pid = Number.parseInt(readFileSync(join(directory, 'pid'), 'latin1'), 10);
    process.kill(pid, 'SIGSTOP');
    const gone = await many(500, '127.0.0.2');
    for (const socket of gone) socket.resetAndDestroy();
    await until('the kernel reset them', () => gone.every(({ closed }) => closed) && established('127.0.0.2') === 0);
    const late = await client('127.0.0.3');
    process.kill(pid, 'SIGCONT');
    expect(await echoes(late)).toBe(true);
    expect(reached).toBe(1);
  });

  it('resets what is connected when it is told that the target is gone, and serves the next', async () => {
    await ready();
    const [one, other] = [await client('127.0.0.2'), await client('127.0.0.3')];
    expect(await echoes(one)).toBe(true);
    const pid = Number.parseInt(readFileSync(join(directory, 'pid'), 'latin1'), 10);
    process.kill(pid, 'SIGURG');
    await until('they are reset', () => one.closed && other.closed);
    expect(await echoes(await client('127.0.0.2'))).toBe(true);
  });

  it('leaves the kernel no connections of a target that does not take what was sent to its end, and ends them when it does', async () => {
    const targets: Socket[] = [];
    const mebibyte = 2 ** 20;
    server.close();
    // Ends its own side without reading.
    const paused = { pauseOnConnect: true, allowHalfOpen: true };
    server = createServer(paused, (socket) => targets.push(socket.on('error', () => {}).end()));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await ready();
    const clients = await many(40, '127.0.0.2');
    for (const socket of clients) socket.resume().end(Buffer.alloc(mebibyte));
    await until('all are over for the clients', () => clients.every(({ closed }) => closed));
    expect(orphans()).toBeLessThan(20);
    const taken = await Promise.all(targets.map(async (socket) => Buffer.concat(await socket.toArray()).length));
    expect(taken).toEqual(clients.map(() => mebibyte));
    const pid = Number.parseInt(readFileSync(join(directory, 'pid'), 'latin1'), 10);
    await until('nothing is left open', () => readdirSync(`/proc/${pid}/fd`).length < 10);
  }, 60_000);

  it('has connections that stand still make room where the memory of this machine for TCP is nearly used up', async () => {
    // The directory, for in a network namespace of its own the file is not there.
    const limits = join(directory, 'limits');
    mkdirSync(limits);
    // In pages: three quarters of the second is where it begins.
    writeFileSync(join(limits, 'tcp_mem'), '100\t1000\t1500\n');
    const covered = `mount --bind ${limits} /proc/sys/net/ipv4 && exec "$0" "$@"`;
    let isReading = true;
    server.close();
    server = createServer((socket) => {
      socket.on('error', () => {});
      if (isReading) socket.pipe(socket);
      else socket.pause();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await ready('unshare', '--mount', 'sh', '-c', covered);
    const busy = await client('127.0.0.2');
    expect(await echoes(busy)).toBe(true);
    isReading = false;
    const [small, large] = [await client('127.0.0.3'), await client('127.0.0.3')];
    small.write('hello');
    large.write(Buffer.alloc(64 * 2 ** 20));
    await until('the one that fills it is reset', () => large.closed);
    expect([small.closed, busy.closed]).toEqual([false, false]);
    expect(await echoes(busy)).toBe(true);
  }, 60_000);

  it('takes no memory for what its connections carry', async () => {
    await ready();
    const clients = await many(300);
    const length = 100_000;
    for (const socket of clients) socket.resume().write(Buffer.alloc(length));
    await until('all came back', () => clients.every(({ bytesRead }) => bytesRead === length));
    const pid = Number.parseInt(readFileSync(join(directory, 'pid'), 'latin1'), 10);
    const resident = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))!;
    expect(Number(resident[1])).toBeLessThan(4096);
  });

  it('resets the target where its client did not come to its end', async () => {
    const ended: string[] = [];
    server.on('connection', (socket) => socket.on('error', ({ message }) => ended.push(message)));
    await ready();
    const one = await client();
    expect(await echoes(one)).toBe(true);
    one.resetAndDestroy();
    await until('the target is told', () => ended.length > 0);
    expect(ended).toEqual(['read ECONNRESET']);
  });

  it('counts all addresses of an IPv6 network as one', async () => {
    const network =
      'ip link set lo up && ip -6 route add local fd00::/16 dev lo && echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind && exec "$0" "$@"';
    const script = [process.execPath, join(import.meta.dirname, '../fixtures/prefix-clients.ts')];
    child = spawn('unshare', ['--net', '--', 'sh', '-c', network, ...script, program, join(directory, 'pid')]);
    const { stdout, stderr } = await finished(child);
    expect({ stdout, stderr }).toEqual({ stdout: '{"late":true,"dropped":1}\n', stderr: '' });
  }, 120_000);

  /** Connections to the target that nobody has any more and that are not over: states FIN_WAIT1, FIN_WAIT2, LAST_ACK and CLOSING. */
  function orphans(): number {
    const target = `:${(server.address() as AddressInfo).port.toString(16).toUpperCase().padStart(4, '0')}`;
    const lines = readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1, -1);
    return lines.filter((line) => {
      const fields = line.trim().split(/\s+/);
      return fields[2]!.endsWith(target) && ['04', '05', '09', '0B'].includes(fields[3]!) && fields[9] === '0';
    }).length;
  }

  /** The server's ends of connections of an address to the port. */
  function established(from: string): number {
    const hex = (text: string) => Buffer.from(text.split('.').map(Number).reverse()).toString('hex').toUpperCase();
    const local = `${hex('127.0.0.1')}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const lines = readFileSync('/proc/net/tcp', 'latin1').split('\n');
    return lines.filter((line) => line.includes(` ${local} ${hex(from)}:`)).length;
  }
});
