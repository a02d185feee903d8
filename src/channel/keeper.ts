/**
 * The memory of channels, held by a small process each (`pk-ring keep`) that outlives the daemon. What it holds is sealed in
 * its size: no end of a channel can cut it short under the other.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { PolykernelError } from '../sys/errors.ts';
import { nativeBinary } from '../sys/paths.ts';

const START_DEADLINE_MS = 10_000;
const END_DEADLINE_MS = 5_000;
const POLL_MS = 5;
const ID = /^[0-9a-f]{32}$/;

export class Keepers {
  readonly #directory: string;

  /** `directory`: of the keepers' own files, made with the first of them. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Starts a keeper for `dataBytes` of messages, formatted as an empty ring; with `from`, the path of such memory, it takes
   * that over. Resolves with the path under which the memory can be opened while the keeper lives.
   * Rejects with `unavailable` (not enough memory, not built) or `internal`.
   */
  start(id: string, dataBytes: number, from?: string): Promise<string> {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const argv = ['keep', id, String(dataBytes), this.#file(id), ...(from === undefined ? [] : [from])];
    const program = nativeBinary('pk-ring');
    return new Promise((resolve, reject) => {
      const keeper = spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: {} });
      let complaint = '';
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        keeper.stdout.destroy();
        keeper.stderr.destroy();
        keeper.unref();
        finish();
      };
      const fail = (reason: string) => {
        keeper.kill('SIGKILL');
        const code = /not enough memory/.test(reason) ? 'unavailable' : 'internal';
        settle(() => reject(new PolykernelError(code, `the memory of a channel could not be made: ${reason}`)));
      };
      const timer = setTimeout(() => fail('pk-ring did not answer'), START_DEADLINE_MS);
      let answer = '';
      keeper.stdout.setEncoding('latin1').on('data', (text: string) => {
        answer += text;
        if (!answer.includes('\n')) return;
        const path = this.find(id);
        if (path === undefined) fail('its keeper is gone');
        else settle(() => resolve(path));
      });
      keeper.stderr.setEncoding('utf8').on('data', (text: string) => {
        complaint = (complaint + text).slice(-1000);
      });
      keeper.on('error', (error) => fail(error.message));
      keeper.on('close', (code) => fail(complaint.trim().replace(/^pk-ring: /, '') || `pk-ring ended with ${code}`));
    });
  }

  /** Path of the memory that a living keeper holds for `id`; undefined when there is none. */
  find(id: string): string | undefined {
    const [pid, fd] = this.#read(id) ?? [];
    if (pid === undefined) return undefined;
    const path = `/proc/${pid}/fd/${fd}`;
    try {
      // The number may belong to another process by now; its descriptor then says something else.
      return readlinkSync(path).startsWith(`/memfd:pk-channel:${id}`) ? path : undefined;
    } catch {
      return undefined;
    }
  }

  /** Ends the keeper, if there is one; its memory goes with the last who has it mapped. Rejects with `internal`. */
  async end(id: string): Promise<void> {
    const [pid] = this.#read(id) ?? [];
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const deadline = performance.now() + END_DEADLINE_MS;
      if (this.find(id) !== undefined) signalProcess(pid!, signal);
      while (this.find(id) !== undefined && performance.now() < deadline) await pause(POLL_MS);
      if (this.find(id) === undefined) return rmSync(this.#file(id), { force: true });
    }
    throw new PolykernelError('internal', `the process ${pid} that keeps a channel's memory does not end`);
  }

  /** Ids for which there is, or was, a keeper. */
  list(): string[] {
    try {
      return readdirSync(this.#directory).filter((name) => ID.test(name));
    } catch {
      return [];
    }
  }

  #file(id: string): string {
    return join(this.#directory, id);
  }

  #read(id: string): [pid: number, fd: number] | undefined {
    try {
      const match = /^(\d{1,10}) (\d{1,6})\n$/.exec(readFileSync(this.#file(id), 'latin1'));
      return match === null ? undefined : [Number(match[1]), Number(match[2])];
    } catch {
      return undefined;
    }
  }
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself just now.
  }
}
