/**
 * `npm run soak -- [MESSAGES] [SEED]`: a channel between two UML kernels for a long time. The producer is
 * killed at random, the consumer stalls and is killed and respawned; every message is verified, and that none was lost after
 * its commit, doubled or torn. Default: 100 million messages.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Client, connect } from '../src/client/index.ts';
import { removeDaemon } from './own-daemon.ts';
import { argumentsOrHelp } from './usage.ts';

const PK = join(import.meta.dirname, '../bin/pk');
const USAGE = 'usage: npm run soak -- [MESSAGES] [SEED]';
const [count = 100_000_000, seed = Date.now() % 1_000_000, ...rest] = argumentsOrHelp(USAGE).map(Number);
if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(seed) || rest.length > 0) {
  console.error(USAGE);
  process.exit(2);
}
let random = seed | 1;
const LONGEST = '64';
/** The ledger tells this many producers apart. */
const MOST_KILLS = 1000;

const home = mkdtempSync(join(tmpdir(), 'pk-soak-'));
const env = { ...process.env, POLYKERNEL_HOME: home };
const counts = { producer: 0, consumer: 0, stalls: 0 };

/** Uniform in [0, 1): xorshift, so that a seed names a run as far as kernels allow. */
function chance(): number {
  random ^= random << 13;
  random ^= random >>> 17;
  random ^= random << 5;
  return (random >>> 0) / 2 ** 32;
}

function run(kernel: string, ...command: string[]): ChildProcess {
  return spawn(PK, ['exec', kernel, '--', ...command], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

const producer = () => run('from', 'pk-ring', 'check-send', 'soaked', '4294967295', LONGEST, 'ledger');
const consumer = () => run('to', 'pk-ring', 'check-recv', 'soaked', String(count), 'ledger');

/** Sends a signal to pk-ring in a kernel; waits until its `pk exec` is over when that ends it. */
async function strike(kernel: string, signal: 'KILL' | 'STOP' | 'CONT', victim?: ChildProcess): Promise<void> {
  const ended = victim === undefined || victim.exitCode !== null ? undefined : once(victim, 'close');
  await once(run(kernel, 'pkill', `-${signal}`, 'pk-ring'), 'close');
  if (signal === 'KILL') await ended;
}

async function soak(client: Client): Promise<void> {
  for (const [name, sizeBytes] of [
    ['soaked', 2 ** 16],
    ['ledger', 2 ** 13],
  ] as const) {
    await client.createChannel({ name, from: 'from', to: 'to', sizeBytes });
  }
  for (const name of ['from', 'to']) {
    await client.create({
      name,
      driver: 'uml',
      memoryBytes: 128 * 2 ** 20,
      command: ['sleep', '1000000'],
      start: false,
    });
    await client.start(name);
  }
  let receiving = consumer();
  let sending = producer();
  let over: { code: number | null; said: string } | undefined;
  const watch = (child: ChildProcess) => {
    let said = '';
    child.stdout!.on('data', (chunk) => {
      said += chunk;
    });
    child.stderr!.on('data', (chunk) => {
      said += chunk;
    });
    child.on('close', (code) => {
      // 137: killed by us. Anything else is its own end.
      if (code !== 137) over = { code, said };
    });
  };
  watch(receiving);
  const began = performance.now();
  while (over === undefined) {
    await pause(100 + chance() * 400);
    const kind = chance();
    if (counts.producer + counts.consumer < MOST_KILLS && over === undefined) {
      if (kind < 0.5) {
        await strike('from', 'KILL', sending);
        counts.producer++;
        sending = producer();
      } else if (kind < 0.75) {
        await strike('to', 'STOP');
        await pause(chance() * 300);
        await strike('to', 'CONT');
        counts.stalls++;
      } else {
        await strike('to', 'KILL', receiving);
        if (over !== undefined) break;
        counts.consumer++;
        receiving = consumer();
        watch(receiving);
      }
    }
    const { to } = await client.channel('soaked');
    process.stderr.write(`\r${(to.messages / 1e6).toFixed(1)} of ${(count / 1e6).toFixed(0)} million messages `);
  }
  const { from, to } = await client.channel('soaked');
  const seconds = (performance.now() - began) / 1000;
  process.stderr.write('\n');
  if (over.code !== 0 || Number(over.said) !== count)
    throw new Error(`the consumer ended with ${over.code}: ${over.said}`);
  console.log(
    `${count} messages verified between two kernels in ${seconds.toFixed(0)} s: none lost after commit, none doubled, none torn`,
  );
  console.log(`producers killed ${counts.producer}, consumers killed ${counts.consumer}, stalls ${counts.stalls}`);
  console.log(
    `epochs ${from.epoch} and ${to.epoch}, stalls ${from.stalls} and ${to.stalls}, bells ${from.bells} and ${to.bells}`,
  );
}

const client = await connect({ home });
try {
  await soak(client);
} finally {
  await removeDaemon(home);
}
