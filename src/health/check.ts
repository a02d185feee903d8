/** The check that a workload brings along: run in its kernel at intervals, and its last results. */
import type { Kernel } from '../driver/index.ts';
import type { InstanceSpec } from '../instance/contract.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError } from '../sys/errors.ts';
import { plainText } from '../sys/text.ts';
import type { CheckResult } from './types.ts';

/** Kept of each, and of what each wrote. */
const RESULTS = 5;
const OUTPUT_BYTES = 2_048;
const KILL = 9;

type CheckSpec = Pick<
  InstanceSpec,
  'healthCommand' | 'healthIntervalMs' | 'healthTimeoutMs' | 'healthRetries' | 'healthStartPeriodMs'
> &
  Pick<InstanceSpec, 'env' | 'cwd' | 'cwdOptional' | 'user'>;

/** INVARIANTS: at most one runs at a time; no more than RESULTS are kept, of OUTPUT_BYTES each. */
export class WorkloadCheck {
  readonly results: CheckResult[] = [];
  /** In a row, as far as they count. */
  failures = 0;
  /** When the first of these was. */
  failingSince: string | undefined;
  hasPassed = false;
  readonly #kernel: Kernel;
  readonly #clock: Clock;
  #running = false;
  #dueMs = 0;
  #agedMs = 0;

  constructor(kernel: Kernel, clock: Clock) {
    this.#kernel = kernel;
    this.#clock = clock;
  }

  /** `passedMs` more went by in which it ran: begins a check when one is due. `isFair`: whether a failure now is its own. */
  look(spec: CheckSpec, passedMs: number, isFair: () => boolean): void {
    this.#agedMs += passedMs;
    this.#dueMs -= passedMs;
    const { healthCommand: command } = spec;
    if (command === null || this.#running || this.#dueMs > 0) return;
    this.#running = true;
    void this.#run(command, spec).then((result) => {
      this.#running = false;
      this.#dueMs = spec.healthIntervalMs;
      this.#note(result, spec, isFair());
    });
  }

  #note(result: CheckResult, spec: CheckSpec, isFair: boolean): void {
    const isEarly = !this.hasPassed && this.#agedMs < spec.healthStartPeriodMs;
    const counts = result.outcome === 'passed' || (result.outcome === 'failed' && isFair && !isEarly);
    this.results.push(counts ? result : { ...result, outcome: 'not-counted' });
    if (this.results.length > RESULTS) this.results.shift();
    if (!counts) return;
    if (result.outcome === 'passed') {
      this.hasPassed = true;
      this.failures = 0;
      this.failingSince = undefined;
    } else {
      this.failures += 1;
      this.failingSince ??= result.at;
    }
  }

  /** Never rejects. */
  async #run(command: string, spec: CheckSpec): Promise<CheckResult> {
    const at = timestamp(this.#clock);
    const begunMs = this.#clock.monotonic();
    const output: Buffer[] = [];
    let bytes = 0;
    const result = (outcome: CheckResult['outcome'], exitCode: number | null, text: string): CheckResult => ({
      at,
      tookMs: Math.round(this.#clock.monotonic() - begunMs),
      outcome,
      exitCode,
      output: plainText(text, OUTPUT_BYTES),
    });
    try {
      const { env, cwd, cwdOptional, user } = spec;
      const process = this.#kernel.guest.exec({ command: ['/bin/sh', '-c', command], env, cwd, cwdOptional, user });
      process.stdin.end();
      // What nobody reads would stop it.
      for (const stream of [process.stdout, process.stderr])
        stream.on('data', (data: Buffer) => {
          if (bytes < OUTPUT_BYTES) output.push(data.subarray(0, OUTPUT_BYTES - bytes));
          bytes += data.length;
        });
      const late = Promise.withResolvers<'late'>();
      const cancel = this.#clock.after(spec.healthTimeoutMs, () => late.resolve('late'));
      const exit = await Promise.race([process.exited, late.promise]);
      cancel();
      const written = () => Buffer.concat(output).toString();
      if (exit === 'late') {
        process.signal(KILL);
        process.forget();
        return result('failed', null, `it took longer than ${spec.healthTimeoutMs} ms\n${written()}`);
      }
      process.forget();
      const { kind, value, message } = exit;
      if (kind === 'exit') return result(value === 0 ? 'passed' : 'failed', value, written());
      // With 0 the kernel was lost, which is a sign of its own.
      if (kind === 'failed') return result(value === 0 ? 'not-counted' : 'failed', null, message);
      return result('failed', null, `ended by signal ${value}\n${written()}`);
    } catch (error) {
      return result('not-counted', null, asPolykernelError(error, 'checking a workload').message);
    }
  }
}
