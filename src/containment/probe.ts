/** A program of ours in a kernel, and what it says. Whatever comes is a guest's word: bounded, and read by a narrow form. */
import { readFile } from 'node:fs/promises';
import type { GuestLink, GuestProcess } from '../guest/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { nativeBinary } from '../sys/paths.ts';
import { plainLine } from '../sys/text.ts';

/** Removed by the program itself, once it runs. */
const PROGRAM = '/run/pk-trial';
const LINE_BYTES = 64;
const COMPLAINT_BYTES = 1_000;
const PATIENCE_MS = 60_000;
/** What it may say: so much at once, and so much a millisecond, several times what its requests take. */
const SPARE_BYTES = 128 * 1024;
const BYTES_PER_MS = 16;
/** A guest's clock may be so much faster than this machine's. */
const EARLY_MS = 1_000;
const MOST_CLOCKS = 10_000;
/** Between two requests of a probe, in milliseconds. */
export const PERIOD_MS = 10;

/** One request of a probe: when it was due by `performance.now()`, and how long after that it was done. */
export interface Sample {
  dueMs: number;
  latencyUs: number;
  failed: boolean;
}

export type Guest = Pick<GuestLink, 'writeFile' | 'exec'>;
type Say = (line: string, begunMs: number) => void;

/** pk-trial in a guest. */
export class TrialProgram {
  readonly #process: GuestProcess;
  readonly #heard: Heard;

  private constructor(process: GuestProcess, heard: Heard) {
    this.#process = process;
    this.#heard = heard;
  }

  /**
   * Resolves once it is ready. `say` gets each line after that, and when it was ready by `performance.now()`. Rejects with
   * `unavailable` when the program is not built or `signal` is aborted, `not-ready` when it does not say that it is ready, and as the
   * guest does.
   */
  static async start(
    guest: Guest,
    name: string,
    args: readonly string[],
    signal: AbortSignal,
    say: Say = () => {},
  ): Promise<TrialProgram> {
    const content = await readFile(nativeBinary('pk-trial'));
    await untilAborted(signal, guest.writeFile(PROGRAM, 0o700, content));
    const process = guest.exec({ command: [PROGRAM, ...args], env: {}, cwd: '/', user: '0' });
    const begun = Promise.withResolvers<void>();
    let begunMs: number | undefined;
    const heard = hear(process, (line) => {
      if (begunMs !== undefined) return say(line, begunMs);
      if (line !== 'begin') return;
      begunMs = performance.now();
      begun.resolve();
    });
    const timer = setTimeout(() => begun.reject(new Error('it does not answer')), PATIENCE_MS);
    void process.exited.then(({ message, value }) =>
      begun.reject(new Error(plainLine(heard.complaint.trim()) || message || `it ended with ${value}`)),
    );
    try {
      await untilAborted(signal, begun.promise);
      return new TrialProgram(process, heard);
    } catch (error) {
      process.forget();
      if (signal.aborted) throw error;
      const reason = `${name}: pk-trial ${args.slice(0, 2).join(' ')} does not run in its kernel: ${(error as Error).message}`;
      throw new PolykernelError('not-ready', reason, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** What a fault waits for. */
  go(): void {
    this.#process.stdin.end('\n');
  }

  get hasEnded(): boolean {
    return this.#process.exit !== undefined || this.#heard.isTooMuch;
  }

  /** What it could not do, for people; empty while it can. */
  get complaint(): string {
    return plainLine(this.#heard.complaint.trim());
  }

  /** Its processes are ended, unless their kernel is past that. */
  close(): void {
    this.#process.forget();
  }
}

export interface ProbeOptions {
  seconds: number;
  disk?: string | undefined;
  halts: boolean;
}

/** What probes of one kernel said, across its restarts. INVARIANT: bounded by the time it runs and the period, whatever a guest claims. */
export class Probe {
  readonly samples: Sample[] = [];
  /** By how much its clock was ahead of this machine's, at each time that it told. */
  readonly clocks: number[] = [];
  /** It ended though nobody ended it. */
  brokeOff = false;
  #program: TrialProgram | undefined;
  #run: { next: number } | undefined;

  /**
   * Begins, or begins again in a new kernel. `disk`: a file to write to. `halts`: when the time is over and nobody ended it, it
   * powers its kernel off. Rejects as TrialProgram.start().
   */
  async start(
    guest: Guest,
    name: string,
    { seconds, disk = '-', halts }: ProbeOptions,
    signal: AbortSignal,
  ): Promise<void> {
    const args = ['probe', String(PERIOD_MS * 1000), String(seconds), disk, ...(halts ? ['halt'] : [])];
    const run = { next: 0 };
    this.#run = run;
    this.#program = undefined;
    this.#program = await TrialProgram.start(guest, name, args, signal, (line, begunMs) => {
      if (this.#run !== run) return;
      const [kind, first = Number.NaN, second = Number.NaN] = parse(line);
      if (kind === 'c' && this.clocks.length < MOST_CLOCKS) this.clocks.push(first - Date.now());
      // In order, and none before it is due: so there are no more of them than time goes by.
      const dueMs = begunMs + first * PERIOD_MS;
      if ((kind !== 'r' && kind !== 'x') || first < run.next || dueMs > performance.now() + EARLY_MS) return;
      run.next = first + 1;
      this.samples.push({ dueMs, latencyUs: kind === 'r' ? second : 0, failed: kind === 'x' });
    });
  }

  /** Whether it should be running and is not. */
  get hasEnded(): boolean {
    return this.#run !== undefined && this.#program?.hasEnded === true;
  }

  close(): void {
    this.brokeOff ||= this.hasEnded;
    this.#run = undefined;
    this.#program?.close();
  }
}

/** A letter, and one or two whole numbers. */
export function parse(line: string): [kind: string, ...numbers: number[]] {
  const [, kind = '', first, second] = /^([a-z]) (\d{1,15})(?: (\d{1,15}))?$/.exec(line) ?? [];
  return [kind, ...[first, second].flatMap((text) => (text === undefined ? [] : [Number(text)]))];
}

/** What a program has said besides its lines. */
interface Heard {
  complaint: string;
  /** More than it has to say: it was given up, and what still comes costs its guest what reading it does. */
  isTooMuch: boolean;
}

/** Of what is too long for a line nothing is told. */
function hear(process: GuestProcess, say: (line: string) => void): Heard {
  const heard: Heard = { complaint: '', isTooMuch: false };
  const begunMs = performance.now();
  let bytes = 0;
  let rest = '';
  const take = (data: Buffer): boolean => {
    bytes += data.length;
    if (!heard.isTooMuch && bytes > SPARE_BYTES + (performance.now() - begunMs) * BYTES_PER_MS) {
      heard.isTooMuch = true;
      heard.complaint = 'it said more than it has to say';
      process.forget();
    }
    return !heard.isTooMuch;
  };
  process.stdout.on('data', (data: Buffer) => {
    if (!take(data)) return;
    const lines = (rest + data.toString('latin1')).split('\n');
    rest = lines.pop()!.slice(-LINE_BYTES);
    for (const line of lines) if (line.length < LINE_BYTES) say(line);
  });
  process.stderr.on('data', (data: Buffer) => {
    if (take(data)) heard.complaint = (heard.complaint + data.toString('latin1')).slice(0, COMPLAINT_BYTES);
  });
  return heard;
}

export const interrupted = () => new PolykernelError('unavailable', 'the trial was interrupted');

/** As `work`, which is not waited for any more once `signal` is aborted: then it rejects with `unavailable`. */
async function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(interrupted());
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
