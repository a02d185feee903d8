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
  readonly #complained: () => string;

  private constructor(process: GuestProcess, complained: () => string) {
    this.#process = process;
    this.#complained = complained;
  }

  /**
   * Resolves once it is ready. `say` gets each line after that, and when it was ready by `performance.now()`. Rejects with
   * `unavailable` when the program is not built, `not-ready` when it does not say that it is, and as the guest does.
   */
  static async start(guest: Guest, name: string, args: readonly string[], say: Say = () => {}): Promise<TrialProgram> {
    await guest.writeFile(PROGRAM, 0o700, await readFile(nativeBinary('pk-trial')));
    const process = guest.exec({ command: [PROGRAM, ...args], env: {}, cwd: '/', user: '0' });
    let complaint = '';
    process.stderr.on('data', (data: Buffer) => {
      complaint = (complaint + data.toString('latin1')).slice(0, COMPLAINT_BYTES);
    });
    const begun = Promise.withResolvers<void>();
    let begunMs: number | undefined;
    eachLine(process, (line) => {
      if (begunMs !== undefined) return say(line, begunMs);
      if (line !== 'begin') return;
      begunMs = performance.now();
      begun.resolve();
    });
    const timer = setTimeout(() => begun.reject(new Error('it does not answer')), PATIENCE_MS);
    void process.exited.then(({ message, value }) =>
      begun.reject(new Error(plainLine(complaint.trim()) || message || `it ended with ${value}`)),
    );
    try {
      await begun.promise;
      return new TrialProgram(process, () => complaint);
    } catch (error) {
      process.forget();
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
    return this.#process.exit !== undefined;
  }

  /** What it could not do, for people; empty while it can. */
  get complaint(): string {
    return plainLine(this.#complained().trim());
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
  async start(guest: Guest, name: string, { seconds, disk = '-', halts }: ProbeOptions): Promise<void> {
    const args = ['probe', String(PERIOD_MS * 1000), String(seconds), disk, ...(halts ? ['halt'] : [])];
    const run = { next: 0 };
    this.#run = run;
    this.#program = undefined;
    this.#program = await TrialProgram.start(guest, name, args, (line, begunMs) => {
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

/** Of what is too long for a line nothing is told. */
function eachLine(process: GuestProcess, say: (line: string) => void): void {
  let rest = '';
  process.stdout.on('data', (data: Buffer) => {
    const lines = (rest + data.toString('latin1')).split('\n');
    rest = lines.pop()!.slice(-LINE_BYTES);
    for (const line of lines) if (line.length < LINE_BYTES) say(line);
  });
}
