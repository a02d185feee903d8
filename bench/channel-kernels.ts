/** Channels between kernels: how much of the ring's speed is left, and how that compares with a network. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type Client, connect } from '../src/client/index.ts';
import { ImageStore } from '../src/image/contract.ts';
import { nodeCommand } from '../src/sys/node.ts';
import { nativeBinary } from '../src/sys/paths.ts';
import { withDaemon } from './daemon.ts';
import { atLeast, atMost, type Row } from './row.ts';
import { tcpRoundTrip } from './tcp-pair.ts';
import { interleaved } from './timing.ts';

const ROOT = join(import.meta.dirname, '..');
const PK = join(ROOT, 'bin/pk');
const END = join(import.meta.dirname, 'channel-end.ts');
const ROUNDS = 3;
const ROUND_TRIPS = 100_000;
const EMULATED_ROUND_TRIPS = 20_000;
const TCP_ROUND_TRIPS = 2000;
const WAKES = 100;
/** Microseconds in which the other end falls asleep. */
const UNTIL_ASLEEP = '20000';

/** `hostRoundTrip`: nanoseconds between two processes of the host, TypeScript both ends; `futex`: of a wake in C. */
export async function channelKernels(
  hostRoundTrip: number,
  futex: number,
  progress: (text: string) => void,
): Promise<Row[]> {
  progress('channels between kernels');
  const image = await new ImageStore().resolve('debian:uml');
  const seen = await withDaemon({}, async (home, client) => {
    await start(client);
    // What is measured is the wish of programs in different kernels: C in the guests is the reference beside it.
    const ts = (from: string, to: string, count: number) => () =>
      measure(home, {
        from,
        to,
        answer: nodeCommand(END, ['answer-channel', String(count)]),
        ask: nodeCommand(END, ['ask-channel', String(count)]),
      });
    const c =
      (from: string, to: string, count: number, ...wait: string[]) =>
      () =>
        measure(home, {
          from,
          to,
          answer: ['pk-ring', 'echo'],
          // What ping sends before it measures, and the one with which it ends.
          answers: String(wait.length === 0 ? count + 1000 : count + 1),
          ask: ['pk-ring', 'ping'],
          last: [String(count), ...wait],
        });
    return await interleaved(ROUNDS, {
      hostUml: ts('host', 'one', ROUND_TRIPS),
      umlUml: ts('one', 'two', ROUND_TRIPS),
      hostQemu: ts('host', 'vm', EMULATED_ROUND_TRIPS),
      cHostUml: c('host', 'one', ROUND_TRIPS),
      cUmlUml: c('one', 'two', ROUND_TRIPS),
      cHostQemu: c('host', 'vm', EMULATED_ROUND_TRIPS),
      wakeUml: c('one', 'two', WAKES, UNTIL_ASLEEP),
      wakeQemu: c('host', 'vm', WAKES, UNTIL_ASLEEP),
      tcp: () => tcpRoundTrip(image, TCP_ROUND_TRIPS),
    });
  });
  const peer = { unit: 'ns', peer: 'host to host', peerValue: hostRoundTrip };
  const inC = (nanoseconds: number) => `C both ends: ${nanoseconds.toFixed(0)} ns`;
  const slow = { unit: 'us', peer: 'futex in C on the host', peerValue: futex / 1000 };
  return [
    atMost(2, { name: 'round trip 64 B, host to UML', value: seen.hostUml, ...peer, note: inC(seen.cHostUml) }),
    atMost(2, { name: 'round trip 64 B, UML to UML', value: seen.umlUml, ...peer, note: inC(seen.cUmlUml) }),
    {
      ...atMost(Number.POSITIVE_INFINITY, {
        name: 'round trip 64 B, host to QEMU (emulated)',
        value: seen.hostQemu,
        ...peer,
        note: inC(seen.cHostQemu),
      }),
      goal: 'reported',
    },
    atLeast(100, {
      name: 'round trip 64 B: TCP between two UML kernels against the ring between them',
      value: seen.tcp,
      unit: 'ns',
      peer: 'ring, TypeScript both ends',
      peerValue: seen.umlUml,
      note: 'TCP in C over a socket pair that joins the two network cards',
    }),
    {
      ...atMost(Number.POSITIVE_INFINITY, {
        name: 'round trip to a sleeper, UML to UML',
        value: seen.wakeUml / 1000,
        ...slow,
        note: 'both bells go through the daemon',
      }),
      goal: 'reported',
    },
    {
      ...atMost(Number.POSITIVE_INFINITY, {
        name: 'round trip to a sleeper, host to QEMU',
        value: seen.wakeQemu / 1000,
        ...slow,
      }),
      goal: 'reported',
    },
  ];
}

async function start(client: Client): Promise<void> {
  const pairs = [
    ['host', 'one'],
    ['one', 'two'],
    ['host', 'vm'],
  ] as const;
  for (const [from, to] of pairs) {
    await client.createChannel({ name: `${from}-${to}`, from, to, sizeBytes: 2 ** 16 });
    await client.createChannel({ name: `${to}-${from}`, from: to, to: from, sizeBytes: 2 ** 16 });
  }
  for (const name of ['one', 'two', 'vm']) {
    const driver = name === 'vm' ? ('qemu' as const) : ('uml' as const);
    // The checkout is shown where it is: programs of the guest use it as those of the host do.
    const volumes = [{ source: ROOT, target: ROOT, readOnly: true }];
    await client.create({
      name,
      driver,
      memoryBytes: 512 * 2 ** 20,
      volumes,
      command: ['sleep', '1000000'],
      start: false,
    });
    await client.start(name);
  }
}

interface Exchange {
  from: string;
  to: string;
  /** Command lines; the names of the two channels are appended. */
  answer: readonly string[];
  ask: readonly string[];
  /** What comes behind the names. */
  answers?: string;
  last?: readonly string[];
}

async function measure(home: string, { from, to, answer, answers, ask, last = [] }: Exchange): Promise<number> {
  const there = `${from}-${to}`;
  const back = `${to}-${from}`;
  const partner = spawnIn(home, to, [...answer, there, back, ...(answers === undefined ? [] : [answers])]);
  const ended = once(partner, 'close');
  await untilOpen(home, there, back);
  const asking = spawnIn(home, from, [...ask, there, back, ...last]);
  let said = '';
  asking.stdout!.on('data', (chunk) => {
    said += chunk;
  });
  const [code] = await once(asking, 'close');
  if (code !== 0) throw new Error(`${ask.join(' ')} in ${from} ended with ${code}`);
  const [partnerCode] = await ended;
  if (partnerCode !== 0) throw new Error(`${answer.join(' ')} in ${to} ended with ${partnerCode}`);
  return Number(said);
}

/** Kernels are pinned one to a CPU as they come: the host's end takes the one that `one` does not have. */
function spawnIn(home: string, kernel: string, command: readonly string[]) {
  const env = { ...process.env, POLYKERNEL_HOME: home, PK_CHANNELS: join(home, 'channels') };
  const program = command[0] === 'pk-ring' ? nativeBinary('pk-ring') : command[0]!;
  const argv =
    kernel === 'host' ? ['taskset', '-c', '1', program, ...command.slice(1)] : [PK, 'exec', kernel, '--', ...command];
  return spawn(argv[0]!, argv.slice(1), { env, stdio: ['ignore', 'pipe', 'inherit'] });
}

/** The answering end has both of its sides. */
async function untilOpen(home: string, there: string, back: string): Promise<void> {
  const client = await connect({ home });
  const deadline = performance.now() + 120_000;
  const isOpen = async () =>
    (await client.channel(there)).to.state === 'open' && (await client.channel(back)).from.state === 'open';
  while (!(await isOpen())) {
    if (performance.now() > deadline) throw new Error(`nobody receives from ${there}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
