/** What clients of services can do to others, and which processes the daemon takes for its HAProxy. A real one, local targets. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { renderConfig } from '../../src/service/config.ts';
import { HaProxy } from '../../src/service/contract.ts';
import { toolPath } from '../../src/sys/tools.ts';
import { freePort } from '../support/http.ts';
import { finished, until } from '../support/pk.ts';
import { startEcho } from '../support/service-harness.ts';
import { serviceStatus } from '../support/services.ts';

/** As many clients as each of the two services may have below. */
const SHARE = 40;

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'pk-services-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** A connection of that address; what it heard, and whether it was ended. */
function client(port: number, localAddress: string) {
  const seen = { heard: '', ended: false };
  const socket: Socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  socket.on('close', () => {
    seen.ended = true;
  });
  socket.setEncoding('latin1').on('data', (text: string) => {
    seen.heard += text;
  });
  onTestFinished(() => void socket.destroy());
  return seen;
}

/** One after the other, each served or refused. */
async function many(count: number, port: number, from: string) {
  const clients: ReturnType<typeof client>[] = [];
  for (let at = 0; at < count; at++) {
    const one = client(port, from);
    await until('it is served or refused', () => one.heard !== '' || one.ended);
    clients.push(one);
  }
  return clients;
}

/** Two services with few clients, in tcp mode: there silence lasts an hour. Gives their ports. */
async function twoServices(): Promise<[number, number]> {
  const home = directory();
  const echo = await startEcho('echo', '127.0.1.1');
  const ports: [number, number] = [await freePort(), await freePort()];
  const services = ports.map((port, at) => ({
    record: { ...serviceStatus({ name: `s${at}`, port, mode: 'tcp' }), removing: false },
    servers: [{ name: 'echo', address: echo.address, port: echo.port, weight: 1 }],
  }));
  const statsSocket = join(home, 'stats.sock');
  // One thread counts exactly: of two connections at one moment several may refuse both.
  const options = { statsSocket, files: 4 * SHARE, threads: 1, bindNamespace: null, confined: null };
  writeFileSync(join(home, 'cfg'), renderConfig(services, options));
  const { path, env } = toolPath('haproxy');
  const child = spawn(path, ['-db', '-f', join(home, 'cfg')], { stdio: 'ignore', env: { ...process.env, ...env } });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  for (const port of ports) {
    let probe = client(port, '127.0.0.9');
    await until('it serves', () => {
      if (probe.ended) probe = client(port, '127.0.0.9');
      return probe.heard === 'echo\n';
    });
  }
  return ports;
}

test('one silent address does not close a service to others, nor do many that service close another', async () => {
  const [port, otherPort] = await twoServices();
  const ended = (clients: readonly { ended: boolean }[]) => clients.filter((each) => each.ended).length;
  const hog = await many(SHARE + 10, port, '127.0.0.2');
  expect(ended(hog)).toBe(SHARE / 2 + 10);
  const honest = client(port, '127.0.0.3');
  await until('another address is served', () => honest.heard === 'echo\n');
  // With a second address the service is full: the honest one and the probe have the rest.
  expect(ended(await many(SHARE / 2 - 2, port, '127.0.0.4'))).toBe(0);
  const waiting = client(port, '127.0.0.5');
  const other = client(otherPort, '127.0.0.2');
  await until('the other service serves', () => other.heard === 'echo\n');
  expect([honest.ended, waiting.heard]).toEqual([false, '']);
}, 60_000);

test.runIf(process.getuid?.() === 0)(
  'what a target does not acknowledge is given up after seconds, and not left to the kernel',
  async () => {
    const fixture = [process.execPath, join(import.meta.dirname, '../fixtures/silent-target.ts'), directory()];
    const run = spawn('unshare', ['--net', '--', 'sh', '-c', 'ip link set lo up && exec "$0" "$@"', ...fixture]);
    expect(await finished(run)).toMatchObject({ stdout: '{"closed":true,"left":0}\n', stderr: '' });
  },
  60_000,
);

test('connections that go on keep no more than 16 processes of the past', async () => {
  const echo = await startEcho('echo', '127.0.1.1');
  const port = await freePort();
  const proxy = new HaProxy(directory(), 1);
  onTestFinished(() => proxy.stop());
  proxy.prepare();
  const clients: ReturnType<typeof client>[] = [];
  for (let change = 0; change < 19; change++) {
    const servers = [{ name: `echo${change}`, address: echo.address, port: echo.port, weight: 1 }];
    proxy.configure([{ record: { ...serviceStatus({ name: 's', port, mode: 'tcp' }), removing: false }, servers }]);
    await proxy.start(null);
    clients.push(...(await many(1, port, '127.0.0.2')));
  }
  await until('the first two are ended', () => clients.slice(0, 2).every(({ ended }) => ended));
  expect(clients.slice(2).map(({ ended }) => ended)).toEqual(new Array(17).fill(false));
}, 60_000);

// One that may not be read may not be looked into either: its files in /proc are root's.
const strangers = [
  { what: 'of another user', uid: 65_534, mode: 0o755 },
  { what: 'of another user that may not be looked into', uid: 65_534, mode: 0o711 },
  { what: 'that runs another program', uid: 0, mode: 0o755 },
];

test.runIf(process.getuid?.() === 0).each(strangers)(
  'a process $what is not HAProxy by its arguments',
  async (given) => {
    const home = directory();
    chmodSync(home, 0o755);
    const [config, program] = [join(home, 'haproxy.cfg'), join(home, 'program')];
    // For a shell, which waits for input.
    writeFileSync(config, 'echo runs; read line\n');
    copyFileSync('/bin/sh', program);
    chmodSync(program, given.mode);
    const child = spawn(program, ['-f', config], { argv0: 'haproxy', uid: given.uid, gid: given.uid, cwd: '/' });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    await new HaProxy(home, 1).stop();
    // It is still there to read its line.
    child.stdin.end('line\n');
    expect(await once(child, 'exit')).toEqual([0, null]);
  },
);
