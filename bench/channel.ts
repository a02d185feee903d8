/** What a message through shared memory costs, TypeScript on both ends, beside the same ring in C and beside sockets. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createRing, ringBytes, SharedMemory } from '../src/ring/index.ts';
import { runCommand } from '../src/sys/command.ts';
import { nodeCommand } from '../src/sys/node.ts';
import { nativeBinary } from '../src/sys/paths.ts';
import { freePort } from '../test/support/http.ts';
import { channelKernels } from './channel-kernels.ts';
import { atLeast, atMost, type Row } from './row.ts';
import { interleaved } from './timing.ts';

const END = join(import.meta.dirname, 'channel-end.ts');
const ROUNDS = 5;
const ROUND_TRIPS = 100_000;
const SOCKET_ROUND_TRIPS = 3000;
const SMALL_MESSAGES = 2_000_000;
const LARGE_MESSAGES = 200_000;
const WAKES = 300;
const RING_BYTES = 2 ** 20;
const LARGE = 4096;

export async function channel(progress: (text: string) => void): Promise<Row[]> {
  progress('channels');
  const c = (figure: string, count: number) => async () =>
    Number((await runCommand([nativeBinary('pk-ring-bench'), figure, String(count)])).stdout);
  const seen = await interleaved(ROUNDS, {
    roundTrip: () => rings(2, ROUND_TRIPS, 'answer', 'ask'),
    cRoundTrip: c('rtt', ROUND_TRIPS),
    stream: () => rings(1, SMALL_MESSAGES, 'pour', 'drain'),
    batches: () => rings(1, SMALL_MESSAGES, 'pour-batches', 'drain-lazily'),
    inPlace: () => rings(1, SMALL_MESSAGES, 'pour-in-place', 'drain-in-place'),
    cStream: c('stream', SMALL_MESSAGES),
    large: () => rings(1, LARGE_MESSAGES, 'pour-large', 'drain-large'),
    cLarge: c('bulk', LARGE_MESSAGES),
    memcpy: c('memcpy', LARGE_MESSAGES),
    wake: () => rings(1, WAKES, 'wake', 'be-woken'),
    loopWake: () => rings(1, WAKES, 'wake', 'be-woken-by-loop'),
    cWake: c('wake', WAKES),
    unix: () => sockets((directory) => join(directory, 'echo')),
    tcp: () => sockets(async () => `${await freePort()}`),
  });
  const rate = (nanoseconds: number) => 1000 / nanoseconds;
  const bytesRate = (nanoseconds: number) => LARGE / nanoseconds;
  const cpus = availableParallelism();
  const note = cpus < 2 ? 'one CPU: the two ends take turns' : 'fastest lap of 2,000 in each of 5 rounds, their median';
  const socket = (name: string, value: number, peerValue: number): Row =>
    atLeast(100, { name: `round trip 64 B: ${name} against the ring`, value, unit: 'ns', peer: 'ring', peerValue });
  return [
    atMost(1.5, {
      name: 'round trip 64 B, TypeScript both ends',
      value: seen.roundTrip,
      unit: 'ns',
      peer: 'C ring',
      peerValue: seen.cRoundTrip,
      note,
    }),
    atLeast(0.6, {
      name: 'throughput 64 B, one by one',
      value: rate(seen.stream),
      unit: 'M/s',
      peer: 'C ring',
      peerValue: rate(seen.cStream),
      note,
    }),
    atLeast(0.6, {
      name: 'throughput 64 B, batches of 16, lazy release',
      value: rate(seen.batches),
      unit: 'M/s',
      peer: 'C ring, one by one',
      peerValue: rate(seen.cStream),
      note,
    }),
    atLeast(0.6, {
      name: 'throughput 64 B, in place (reserve, stage, drain), batches of 16',
      value: rate(seen.inPlace),
      unit: 'M/s',
      peer: 'C ring, one by one',
      peerValue: rate(seen.cStream),
      note,
    }),
    atLeast(0.8, {
      name: 'throughput 4 KiB',
      value: bytesRate(seen.large),
      unit: 'GB/s',
      peer: 'memcpy in on one CPU and out on the other',
      peerValue: bytesRate(seen.memcpy),
      note: `the C ring: ${bytesRate(seen.cLarge).toFixed(2)} GB/s`,
    }),
    socket('Unix socket', seen.unix, seen.roundTrip),
    socket('TCP loopback', seen.tcp, seen.roundTrip),
    atMost(1.5, {
      name: 'parked wake-up, blocking',
      value: seen.wake / 1000,
      unit: 'us',
      peer: 'futex in C',
      peerValue: seen.cWake / 1000,
      note: `through the event loop and its helper thread ${(seen.loopWake / 1000).toFixed(0)} us`,
    }),
    ...(await channelKernels(seen.roundTrip, seen.cWake, progress)),
  ];
}

/** Runs the second role against the first, on two CPUs, with rings between them; returns what the second measured. */
async function rings(rings: number, count: number, other: string, measuring: string): Promise<number> {
  const directory = mkdtempSync('/dev/shm/pk-bench-');
  try {
    const paths = Array.from({ length: rings }, (_, i) => join(directory, `ring-${i}`));
    for (const path of paths) {
      using memory = SharedMemory.create(path, ringBytes(RING_BYTES));
      // Page faults now, not while measuring.
      new Uint8Array(memory.buffer).fill(1);
      createRing(memory, { creator: 'bench' });
    }
    const partner = start(1, other, count, paths);
    const ended = once(partner, 'exit');
    const result = await measured(start(0, measuring, count, paths));
    const [code] = await ended;
    if (code !== 0) throw new Error(`${other} ended with ${code}`);
    return result;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function sockets(choose: (directory: string) => string | Promise<string>): Promise<number> {
  const directory = mkdtempSync('/dev/shm/pk-bench-');
  try {
    const address = await choose(directory);
    const server = start(1, 'echo', 0, [address]);
    const ended = once(server, 'exit');
    await once(server, 'message');
    const result = await measured(start(0, 'ask-socket', SOCKET_ROUND_TRIPS, [address]));
    await ended;
    return result;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function start(cpu: number, role: string, count: number, addresses: readonly string[]) {
  const pinned = String(cpu % availableParallelism());
  const argv = ['-c', pinned, ...nodeCommand(END, [role, String(count), ...addresses])];
  return spawn('taskset', argv, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
}

async function measured(child: ReturnType<typeof start>): Promise<number> {
  let said = '';
  child.stdout!.on('data', (chunk) => {
    said += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`an end of the channel ended with ${code}`);
  return Number(said);
}
