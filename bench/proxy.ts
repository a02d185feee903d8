/** A service against an HAProxy that somebody configured by hand for the same backends, under the same load. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '../src/client/index.ts';
import { EventLog } from '../src/core/events.ts';
import { silentJournal } from '../src/core/journal.ts';
import { Services } from '../src/service/services.ts';
import { systemClock } from '../src/sys/clock.ts';
import { toolPath } from '../src/sys/tools.ts';
import { freePort } from '../test/support/http.ts';
import { withDaemon } from './daemon.ts';
import { atLeast, atMost, median, type Row } from './row.ts';

const ROUNDS = 7;
const SECONDS = 3;
const CONNECTIONS = 16;
const KERNELS = ['w1', 'w2'];

interface Load {
  perSecond: number;
  p99Ms: number;
}

export async function proxy(progress: (text: string) => void): Promise<Row[]> {
  return [...(await fast(progress)), ...(await withDaemon({}, (_home, client) => kernels(client, progress)))];
}

/** A backend that costs next to nothing, so that what is measured is the proxy. */
async function fast(progress: (text: string) => void): Promise<Row[]> {
  progress('proxied path, fast backend');
  const directory = mkdtempSync(join(tmpdir(), 'pk-proxy-'));
  const [backendPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
  const backend = await haproxy(
    join(directory, 'backend.cfg'),
    `frontend f\n  bind 127.0.0.1:${backendPort}\n  http-request return status 200 content-type text/plain string ok\n`,
    backendPort,
  );
  const peer = await haproxy(join(directory, 'peer.cfg'), byHand(peerPort, [`127.0.0.1:${backendPort}`]), peerPort);
  const services = new Services({
    directory: join(directory, 'ours'),
    endpoints: { address: () => '127.0.0.1', namespace: () => null, obstacle: () => null, onChange: () => () => {} },
    records: { all: () => [], put() {}, delete() {} },
    events: new EventLog(() => 0),
    clock: systemClock,
    journal: silentJournal,
  });
  try {
    await services.create({ name: 'api', port, targets: [{ instance: 'web', port: backendPort }] });
    await answers(port);
    const loads = await compare(peerPort, port);
    const { requests, latency } = await services.get('api');
    // Of so many the log tells of one in several, picked at random.
    const told = latency.samples / requests;
    if (Math.abs(told - 1) > 0.05) throw new Error(`of ${requests} requests the log told of ${latency.samples}`);
    return rows('a backend of no cost', loads);
  } finally {
    await services.remove('api').catch(() => {});
    services.close();
    for (const child of [backend, peer]) child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
}

async function kernels(client: Client, progress: (text: string) => void): Promise<Row[]> {
  progress(`proxied path, ${KERNELS.length} UML kernels`);
  for (const name of KERNELS) {
    const command = [
      'sh',
      '-c',
      'mkdir -p /run/w && echo ok > /run/w/index.html && exec busybox httpd -f -p 80 -h /run/w',
    ];
    await client.create({ name, driver: 'uml', command, network: 'private', start: false });
    await client.start(name);
  }
  const directory = mkdtempSync(join(tmpdir(), 'pk-proxy-'));
  const [peerPort, port] = [await freePort(), await freePort()];
  const addresses = await Promise.all(KERNELS.map(async (name) => (await client.inspect(name)).address!));
  await client.createService({ name: 'api', port, targets: KERNELS.map((instance) => ({ instance, port: 80 })) });
  const namespace = await namespaceOf(client);
  const servers = addresses.map((address) => `${address}:80 namespace ${namespace}`);
  const peer = await haproxy(join(directory, 'peer.cfg'), byHand(peerPort, servers), peerPort);
  try {
    await answers(port);
    return rows(`${KERNELS.length} UML kernels`, await compare(peerPort, port));
  } finally {
    await client.removeService('api');
    peer.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The name of the daemon's network namespace, made of its state directory. */
async function namespaceOf(client: Client): Promise<string> {
  const { createHash } = await import('node:crypto');
  const { home } = await client.version();
  return `pk-${createHash('sha256').update(home).digest('hex').slice(0, 8)}`;
}

function rows(what: string, seen: Record<'peer' | 'ours', Load>): Row[] {
  const peer = 'HAProxy configured by hand, without a log';
  return [
    atLeast(0.9, {
      name: `service: requests per second, ${what}`,
      value: seen.ours.perSecond,
      unit: '1/s',
      peerValue: seen.peer.perSecond,
      peer,
    }),
    atMost(1.1, {
      name: `service: p99, ${what}`,
      value: seen.ours.p99Ms,
      unit: 'ms',
      peerValue: seen.peer.p99Ms,
      peer,
    }),
  ];
}

/** In turn, so that a slow moment of the machine falls on both. */
async function compare(peerPort: number, port: number): Promise<Record<'peer' | 'ours', Load>> {
  const seen: Record<'peer' | 'ours', Load[]> = { peer: [], ours: [] };
  for (let round = -1; round < ROUNDS; round++) {
    for (const [who, at] of [
      ['peer', peerPort],
      ['ours', port],
    ] as const) {
      const load = await wrk(at);
      if (round >= 0) seen[who].push(load);
    }
  }
  const middle = (loads: readonly Load[]): Load => ({
    perSecond: median(loads.map(({ perSecond }) => perSecond)),
    p99Ms: median(loads.map(({ p99Ms }) => p99Ms)),
  });
  return { peer: middle(seen.peer), ours: middle(seen.ours) };
}

async function wrk(port: number): Promise<Load> {
  const { path, env } = toolPath('wrk');
  const args = [
    '-t1',
    `-c${CONNECTIONS}`,
    `-d${SECONDS}s`,
    '--latency',
    '--timeout',
    '30s',
    `http://127.0.0.1:${port}/`,
  ];
  const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  await once(child, 'close');
  const [, p99, unit] = /^\s+99%\s+([\d.]+)(us|ms|s)$/m.exec(text) ?? [];
  const perSecond = Number(/^Requests\/sec:\s+([\d.]+)$/m.exec(text)?.[1]);
  if (p99 === undefined || !(perSecond > 0) || /Non-2xx|Socket errors/.test(text))
    throw new Error(`wrk failed: ${text}`);
  return { perSecond, p99Ms: Number(p99) * { us: 0.001, ms: 1, s: 1000 }[unit as 'us' | 'ms' | 's'] };
}

/** As the manual begins: threads, timeouts, checks and the same balance; no log and no statistics. */
function byHand(port: number, servers: readonly string[]): string {
  const lines = servers.map((server, index) => `  server s${index} ${server} check inter 1s`);
  return `frontend f\n  bind 127.0.0.1:${port}\n  default_backend b\nbackend b\n  balance random(2)\n  option forwardfor\n${lines.join('\n')}\n`;
}

async function haproxy(path: string, sections: string, port: number): Promise<ChildProcess> {
  const threads = 'global\n  nbthread 2\n  noreuseport\n';
  const defaults = 'defaults\n  mode http\n  timeout connect 1s\n  timeout client 60s\n  timeout server 60s\n';
  writeFileSync(path, `${threads}${defaults}${sections}`);
  const { path: program, env } = toolPath('haproxy');
  // In a session of its own as a daemon is, which the scheduler shares CPUs among (autogroup).
  const child = spawn(program, ['-db', '-f', path], {
    stdio: 'ignore',
    detached: true,
    env: { ...process.env, ...env },
  });
  await answers(port);
  return child;
}

/** Resolves once somebody listens there. */
async function answers(port: number): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const open = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (open) return;
    if (performance.now() > deadline) throw new Error(`nobody listens at port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
