/** What guests that flood the daemon cost an innocent one, against guests that use as much CPU in silence. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../src/client/index.ts';
import { protocol } from '../src/guest/index.ts';
import { withDaemon } from './daemon.ts';
import { atMost, median, type Row } from './row.ts';
import { timeProcess } from './timing.ts';

const PK = join(import.meta.dirname, '..', 'bin', 'pk');
const GUESTS = 6;
const ROUNDS = 8;
/** Of each command in a round. */
const REPEATS = 4;
/** Until what was resumed is at full speed. */
const WARM_UP_MS = 500;

/** Root in the guest writes frames to the control line, as fast as that takes them. */
const FLOOD = [
  'sh',
  '-c',
  'while [ ! -e /tmp/go ]; do sleep 0.1; done; while :; do cat /tmp/frames; done > /dev/tty15',
];
/** Each prints to its log as fast as that takes it. */
const PRINT = ['sh', '-c', 'yes 0123456789012345678901234567890123456789'];
const PRINT_LOOKS = 20;
const PRINT_LOOK_MS = 500;
const SPIN = ['sh', '-c', 'while :; do :; done'];

export function flood(progress: (text: string) => void): Promise<Row[]> {
  return withDaemon({}, (home, client) => measure(home, client, progress));
}

async function measure(home: string, client: Client, progress: (text: string) => void): Promise<Row[]> {
  const { pid } = await client.version();
  progress(`${GUESTS} guests of each kind`);
  const start = async (name: string, command: string[]) => {
    await client.create({ name, driver: 'uml', command, memoryBytes: 64 * 2 ** 20, start: false });
    await client.start(name);
  };
  await start('innocent', ['sleep', '100000']);
  const names = (kind: string) => Array.from({ length: GUESTS }, (_, index) => `${kind}${index}`);
  const kinds = { spin: names('spin'), flood: names('flood') };
  for (const name of kinds.spin) await start(name, SPIN).then(() => client.pause(name));
  const frames = Buffer.concat(Array.from({ length: 65_536 }, () => protocol.encodeFrame(protocol.ToHost.bell, 1)));
  for (const name of kinds.flood) {
    await start(name, FLOOD);
    await client.putFile(name, '/tmp/frames', frames);
    await client.putFile(name, '/tmp/go', Buffer.alloc(0));
    await pause(client, name);
  }

  const seen = {
    spin: { exec: [] as number[], ps: [] as number[] },
    flood: { exec: [] as number[], ps: [] as number[] },
  };
  const before = residentMiB(pid);
  let most = 0;
  const time = (...args: string[]) =>
    timeProcess([PK, ...args], { env: { ...process.env, POLYKERNEL_HOME: home }, cwd: '/' });
  for (let round = -1; round < ROUNDS; round++) {
    for (const kind of ['spin', 'flood'] as const) {
      progress(`round ${round + 1} of ${ROUNDS}: ${kind}`);
      for (const name of kinds[kind]) await client.resume(name);
      await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
      for (let repeat = 0; repeat < REPEATS; repeat++) {
        const [exec, ps] = [await time('exec', 'innocent', '--', 'true'), await time('ps')];
        if (round < 0) continue;
        seen[kind].exec.push(exec);
        seen[kind].ps.push(ps);
      }
      most = Math.max(most, residentMiB(pid));
      for (const name of kinds[kind]) await pause(client, name);
    }
  }
  progress(`${GUESTS} guests that print`);
  for (const name of names('print')) await start(name, PRINT);
  let mostPrinting = 0;
  for (let look = 0; look < PRINT_LOOKS; look++) {
    await new Promise((resolve) => setTimeout(resolve, PRINT_LOOK_MS));
    mostPrinting = Math.max(mostPrinting, residentMiB(pid));
  }
  const running = (await client.list()).filter(({ state }) => state === 'paused').length;
  if (running !== 2 * GUESTS) throw new Error(`only ${running} of ${2 * GUESTS} guests are still there`);
  const row = (command: 'exec' | 'ps') =>
    atMost(1.3, {
      name: `pk ${command} beside ${GUESTS} guests that flood`,
      value: median(seen.flood[command]),
      unit: 'ms',
      peer: `beside ${GUESTS} that spin`,
      peerValue: median(seen.spin[command]),
      note: `median of ${ROUNDS * REPEATS}, the kinds in turn; they write frames to their control lines`,
    });
  const resident = (what: string, value: number, note: string) =>
    atMost(150, {
      name: `daemon RSS with ${GUESTS} guests that ${what}`,
      value,
      unit: 'MiB',
      peer: 'goal',
      peerValue: 150,
      of: 'value',
      note,
    });
  return [
    row('exec'),
    row('ps'),
    resident('flood', most, `the most seen; ${before.toFixed(0)} MiB before they began`),
    resident(
      'print',
      mostPrinting,
      `the most seen, beside ${2 * GUESTS} that are paused; what they print goes to their logs`,
    ),
  ];
}

/** A kernel that is busy in its console driver may not hear of it in time. */
async function pause(client: Client, name: string): Promise<void> {
  for (let tries = 4; ; tries--) {
    try {
      await client.pause(name);
      return;
    } catch (error) {
      if (tries === 0) throw error;
    }
  }
}

const residentMiB = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
