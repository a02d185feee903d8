/**
 * Holes in the memory of a kernel of User Mode Linux, from outside: the kernel itself may make none, for the same call makes them in
 * memory that is shared with others (docs/shim.md). A process of their own makes them, pk-holes: a VMM that writes to its memory all
 * the while can keep whoever makes a hole waiting.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { toolEnvironment } from '../../sys/environment.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { nativeBinary } from '../../sys/paths.ts';
import { plainLine } from '../../sys/text.ts';
import { openMemoryFile } from './memory-file.ts';

/** In the jail, where a memory file system of its own is. */
const DIRECTORY = '/dev/shm';
const SAID_CHARACTERS = 1_000;

/** A part of the guest's memory. */
export interface Place {
  offset: number;
  bytes: number;
}

/** Of one kernel. After a failure it is of no use any more. */
export class UmlRam implements Disposable {
  readonly #child: ChildProcess;
  /** Answers that are waited for. */
  #open = 0;
  #failure: PolykernelError | undefined;
  #said = '';
  #wake = () => {};

  private constructor(file: FileHandle, program: string) {
    this.#child = spawn(program, [], { stdio: ['pipe', 'pipe', 'pipe', file.fd], env: toolEnvironment() });
    const { stdin, stdout, stderr } = this.#child;
    stdin!.on('error', () => {});
    stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-SAID_CHARACTERS);
    });
    createInterface({ input: stdout! }).on('line', () => {
      this.#open -= 1;
      if (this.#open === 0) this.#wake();
    });
    this.#child.once('error', (error) => this.#fail(error.message));
    this.#child.once('close', (code, signal) =>
      this.#fail(plainLine(this.#said.trim()) || `it ended with ${code ?? signal}`),
    );
  }

  /**
   * `pid`: the kernel's main process. What its descriptors are called is its own word, so the file must be on the file system that the
   * host made for it alone. Rejects with `unavailable` where there is none. `program`: for tests.
   */
  static async open(pid: number, proc = '/proc', program: string = nativeBinary('pk-holes')): Promise<UmlRam> {
    const own = ownMount(await readFile(`${proc}/${pid}/mountinfo`, 'utf8'));
    const isRight = ({ dev }: { dev: number }) => dev === own?.device;
    const file = own && (await openMemoryFile(`${proc}/${pid}`, constants.O_RDWR, isRight, own.id));
    if (file === undefined)
      throw new PolykernelError('unavailable', 'the memory of the kernel is not to be found among its open files');
    try {
      return new UmlRam(file, program);
    } finally {
      await file.close();
    }
  }

  /**
   * Gives the host back what is behind some places; when they are touched again they are zeros. Rejects with the reason of `signal`,
   * or with `internal`.
   */
  async free(places: readonly Place[], signal: AbortSignal): Promise<void> {
    if (places.length === 0) return;
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#wake = () => (this.#failure === undefined ? resolve() : reject(this.#failure));
    if (this.#failure !== undefined) this.#wake();
    this.#open += places.length;
    this.#child.stdin!.write(places.map(({ offset, bytes }) => `${offset} ${bytes}\n`).join(''));
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#wake = () => {};
    }
  }

  /** Waits for nothing: one that is kept in the host's kernel ends once it is let go. */
  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
    for (const stream of this.#child.stdio.slice(0, 3)) stream?.destroy();
    this.#child.unref();
  }

  #fail(reason: string): void {
    this.#failure ??= new PolykernelError('internal', `the memory could not be given back to the host: ${reason}`);
    this.#wake();
  }
}

/** Of the memory file system at DIRECTORY, as the host's kernel tells it of the process. */
export function ownMount(mountinfo: string): { id: number; device: number } | undefined {
  const found = mountinfo
    .split('\n')
    .map((line) => /^(\d{1,10}) \d{1,10} (\d{1,10}):(\d{1,10}) \S{1,4096} (\S{1,4096}) .* - (\S{1,64}) /.exec(line))
    .findLast((match) => match?.[4] === DIRECTORY);
  if (found?.[5] !== 'tmpfs') return undefined;
  const [id, major, minor] = found.slice(1, 4).map(Number) as [number, number, number];
  // As glibc's makedev.
  return { id, device: ((major & 0xfff) << 8) | (minor & 0xff) | ((minor & ~0xff) << 12) };
}
