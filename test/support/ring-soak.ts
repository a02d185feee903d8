/** Two processes, numbered messages, deaths at random: the run behind the tests and `scripts/ring-soak.ts`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createRing, type RingStatistics, readStatistics, ringBytes, SharedMemory } from '../../src/ring/index.ts';
import { nativeProgram } from './native.ts';
import { LEDGER_BYTES, taken } from './ring-check.ts';

const CHECK = join(import.meta.dirname, 'ring-check.ts');
/** More than any producer sends before it is killed. */
const ENDLESS = 2 ** 32 - 1;

export type Language = 'ts' | 'c';

export interface SoakOptions {
  producer: Language;
  consumer: Language;
  /** Messages to verify. */
  count: number;
  /** Longest message in bytes, at least 8. */
  longest: number;
  dataBytes: number;
  /** Kill the producer, the consumer, after a random number of messages up to this; 0: never. */
  killProducer?: number;
  killConsumer?: number;
  /** The consumer (TypeScript) holds up until the ring is full after every so many messages. */
  stall?: number;
  seed?: number;
  progress?: (taken: number, kills: number) => void;
}

export interface SoakResult {
  taken: number;
  kills: { producer: number; consumer: number };
  statistics: RingStatistics;
}

/** Rejects when a process finds a message lost, doubled, torn or out of order. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const directory = mkdtempSync('/dev/shm/pk-ring-');
  try {
    return await new Soak(options, directory).run();
  } finally {
    rmSync(directory, { recursive: true });
  }
}

class Soak {
  private readonly options: SoakOptions;
  private readonly ringPath: string;
  private readonly ledgerPath: string;
  private random: number;
  private readonly kills = { producer: 0, consumer: 0 };
  private failure: Error | undefined;

  constructor(options: SoakOptions, directory: string) {
    this.options = options;
    this.ringPath = join(directory, 'ring');
    this.ledgerPath = join(directory, 'ledger');
    this.random = options.seed ?? 1;
  }

  async run(): Promise<SoakResult> {
    const { options, kills } = this;
    using memory = SharedMemory.create(this.ringPath, ringBytes(options.dataBytes));
    using ledgerMemory = SharedMemory.create(this.ledgerPath, LEDGER_BYTES);
    const ledger = new Int32Array(ledgerMemory.buffer);
    createRing(memory, { creator: 'soak' });
    const children = { producer: await this.start('producer'), consumer: await this.start('consumer') };
    const next = { producer: this.nextKill('producer', 0), consumer: this.nextKill('consumer', 0) };
    try {
      while (children.consumer.exitCode === null && this.failure === undefined) {
        const now = taken(ledger);
        for (const side of ['producer', 'consumer'] as const) {
          if (now < next[side] || now >= options.count) continue;
          await kill(children[side]);
          kills[side]++;
          children[side] = await this.start(side);
          next[side] = this.nextKill(side, now);
        }
        options.progress?.(now, kills.producer + kills.consumer);
        // Looking costs a CPU that the two ends want: no more often than the loop's timers turn.
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      if (this.failure !== undefined) throw this.failure;
      return { taken: taken(ledger), kills, statistics: readStatistics(memory) };
    } finally {
      await kill(children.producer);
      await kill(children.consumer);
    }
  }

  private nextKill(side: 'producer' | 'consumer', now: number): number {
    const most = (side === 'producer' ? this.options.killProducer : this.options.killConsumer) ?? 0;
    // xorshift: a run can be repeated by its seed as far as two processes allow.
    this.random ^= this.random << 13;
    this.random ^= this.random >>> 17;
    this.random ^= this.random << 5;
    return most === 0 ? Number.POSITIVE_INFINITY : now + 1 + ((this.random >>> 0) % most);
  }

  private async start(side: 'producer' | 'consumer'): Promise<ChildProcess> {
    const { options } = this;
    const language = options[side];
    const role = side === 'producer' ? 'send' : 'recv';
    const program = language === 'c' ? [await nativeProgram('pk-ring')] : [process.execPath, CHECK];
    const sent = options.killProducer === undefined ? options.count : ENDLESS;
    const rest =
      side === 'producer'
        ? [sent, options.longest, this.ledgerPath]
        : [options.count, this.ledgerPath, ...(language === 'ts' ? [options.stall ?? 0] : [])];
    const argv = [...program, language === 'c' ? `check-${role}` : role, this.ringPath, ...rest.map(String)];
    const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    child.on('exit', (code) => {
      if (code !== null && code !== 0) this.failure = new Error(`${argv.join(' ')} ended with ${code}: ${said}`);
    });
    return child;
  }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
