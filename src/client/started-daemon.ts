/** A daemon that was started and says on a pipe how it gets on, as src/daemon/main.ts does with --ready-fd. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { daemonEnvironment } from '../sys/environment.ts';
import { type ErrorBody, PolykernelError } from '../sys/errors.ts';

const POLL_MS = 3;

/** With --stand-by first that it could take over; then that it serves, or why not. */
export type Said = { standingBy: string } | { ready: true } | { error: ErrorBody };

export class StartedDaemon {
  readonly #child: ChildProcess;
  readonly #log: string;
  #said = '';
  #ended = false;

  /** `env`: of which it gets what a daemon has. `log`: its file for what it writes by itself. `asked`: it listens to standard input. */
  constructor(argv: readonly string[], env: Record<string, string>, log: string, asked = false) {
    this.#log = log;
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
    const output = openSync(log, flags, 0o600);
    const [program, ...args] = argv;
    this.#child = spawn(program!, args, {
      cwd: '/',
      detached: true,
      env: daemonEnvironment(env),
      stdio: [asked ? 'pipe' : 'ignore', output, output, 'pipe'],
    });
    closeSync(output);
    const end = () => {
      this.#ended = true;
    };
    this.#child.on('error', end);
    this.#child.stdin?.on('error', () => {});
    this.#pipe
      .setEncoding('utf8')
      .on('data', (text: string) => {
        this.#said += text;
      })
      .on('error', () => {})
      .on('close', end);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** What it says next. Rejects with `internal` when it ends first, `unavailable` after `deadline` (performance.now()). */
  async next(deadline: number, signal?: AbortSignal): Promise<Said> {
    for (;;) {
      const end = this.#said.indexOf('\n');
      if (end >= 0) {
        const line = this.#said.slice(0, end);
        this.#said = this.#said.slice(end + 1);
        return JSON.parse(line) as Said;
      }
      if (this.#ended)
        throw new PolykernelError('internal', 'the daemon ended while it started', { hint: `See ${this.#log}.` });
      if (performance.now() > deadline) throw tooLate(this.#log);
      await sleep(POLL_MS, undefined, { signal });
    }
  }

  tell(text: string): void {
    this.#child.stdin?.write(text);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** It goes on without us. */
  letGo(): void {
    this.#pipe.destroy();
    (this.#child.stdin as Writable | null)?.destroy();
    this.#child.unref();
  }

  get #pipe(): Readable {
    return this.#child.stdio[3] as Readable;
  }
}

export const tooLate = (log: string) =>
  new PolykernelError('unavailable', 'the daemon did not answer in time', { hint: `See ${log}.` });
