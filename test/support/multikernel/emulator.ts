/** The model of the kernel as tests hold it: where its files are, and what stands for the system calls. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Mutex } from '../../../src/core/mutex.ts';
import type { Call, ModelState, Setup } from './main.ts';
import type { Faults } from './switches.ts';

/** Of the model's kernel, and of all that boot beside it. */
export const RELEASE = '7.0.0-mk2';

export class Emulator {
  readonly mount: string;
  readonly #lines: string;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (message: { result?: unknown; errno?: string }) => void>();
  readonly #turns = new Mutex();
  #last = 0;
  #hurried = false;

  private constructor(mount: string, lines: string, process: ChildProcess) {
    this.mount = mount;
    this.#lines = lines;
    this.#process = process;
    process.on('message', (message: { number: number; result?: unknown; errno?: string }) => {
      this.#waiting.get(message.number)?.(message);
      this.#waiting.delete(message.number);
    });
  }

  static async start(setup: Omit<Setup, 'mount' | 'lines'>): Promise<Emulator> {
    const mount = mkdtempSync(join(tmpdir(), 'pk-multikernel-'));
    const lines = mkdtempSync(join(tmpdir(), 'pk-mk-vsock-'));
    chmodSync(lines, 0o755);
    // In a group of its own: who ends the tests by a signal to theirs leaves it the time to unmount.
    const process = fork(join(import.meta.dirname, 'main.ts'), [JSON.stringify({ ...setup, mount, lines })], {
      execArgv: [],
      detached: true,
    });
    const emulator = new Emulator(mount, lines, process);
    const ready = new Promise<void>((resolve) => emulator.#waiting.set(0, () => resolve()));
    const ended = once(process, 'exit').then(() => {
      throw new Error('the model ended before it was ready');
    });
    await Promise.race([ready, ended]);
    ended.catch(() => {});
    return emulator;
  }

  /** Throws with the errno's name as `errno` when the model refuses. */
  async #ask<Result>(call: Call): Promise<Result> {
    const number = ++this.#last;
    const answer = new Promise<{ result?: unknown; errno?: string }>((resolve) => this.#waiting.set(number, resolve));
    this.#process.send({ number, call });
    const { result, errno } = await answer;
    if (errno !== undefined) throw Object.assign(new Error(`${call.call}: ${errno}`), { errno });
    return result as Result;
  }

  /** What the driver takes in place of a machine. */
  get host() {
    const of = (name: string) => join(this.mount, name);
    return {
      root: of('fs'),
      tty: of('mktty'),
      second: (id: number) => join(this.#lines, String(id)),
      iomem: of('iomem'),
      cpuinfo: of('cpuinfo'),
      release: RELEASE,
      turns: this.#turns,
      pause: (milliseconds: number) => delay(this.#hurried ? 0 : milliseconds),
      calls: {
        load: (_name: string, id: number, image: { kernel: string; initramfs: string; commandLine: string }) =>
          this.#ask<void>({ call: 'load', id, ...image }),
        unload: (_name: string, id: number) => this.#ask<void>({ call: 'unload', id }),
        boot: (_name: string, id: number) => this.#ask<void>({ call: 'boot', id }),
        halt: (_name: string, id: number) => this.#ask<void>({ call: 'halt', id }),
        force: (_name: string, id: number) => this.#ask<void>({ call: 'force', id }),
      },
    };
  }

  /** Nobody waits for the model, which is never busy for long: tests of many operations. */
  hurry(): void {
    this.#hurried = true;
  }

  state = (): Promise<ModelState> => this.#ask({ call: 'state' });
  deafen = (deaf: boolean): Promise<void> => this.#ask({ call: 'deaf', deaf });
  /** The kernel of an instance ends by itself, or with `failed` in a way that the host kernel does not know how to go on from. */
  ends = (id: number, as: 'loaded' | 'failed' = 'loaded'): Promise<void> => this.#ask({ call: 'ends', id, as });
  get pid(): number {
    return this.#process.pid!;
  }

  /** Nothing that its files are asked is answered until it goes on. */
  freeze = (frozen: boolean): boolean => this.#process.kill(frozen ? 'SIGSTOP' : 'SIGCONT');
  faults = (faults: Faults, seed = 1): Promise<void> => this.#ask({ call: 'faults', faults, seed });

  async end(): Promise<void> {
    const gone = once(this.#process, 'exit');
    await this.#ask({ call: 'end' });
    this.#process.kill('SIGKILL');
    await gone;
    rmdirSync(this.mount);
    rmSync(this.#lines, { recursive: true });
  }
}
