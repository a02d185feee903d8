/** What was taken, written down before it is: of one launch in its directory, of the machine beside which CPU is which. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { MemoryRange } from '../../devicetree/multikernel/index.ts';
import { hostBootId } from '../../sys/host-boot.ts';

/** Of one launch. */
export interface LaunchRecord {
  /** Of the kernel's instance. */
  name: string;
  /** null until it is made. */
  id: number | null;
  /** Physical ids, in the order of its machine's CPUs; where it has fewer than that, the first stands for those that it lacks. */
  cpus: number[];
  /** Of its memory. */
  node: number;
  /** Physical ids of the pool as the kernel was booted: others cannot come to it. */
  bootPool: number[];
}

const FILE = 'multikernel.json';

function write(path: string, content: unknown): void {
  writeFileSync(`${path}.new`, JSON.stringify(content), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function read<Content>(path: string): Content | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Content;
  } catch {
    return undefined;
  }
}

export const writeRecord = (directory: string, record: LaunchRecord): void => write(join(directory, FILE), record);
/** Undefined when the launch never got so far, or has given all back. */
export const readRecord = (directory: string): LaunchRecord | undefined => read(join(directory, FILE));
export const removeRecord = (directory: string): void => rmSync(join(directory, FILE), { force: true });

/** What of the host kernel's pool launches have brought there, until it has gone back: whose kernel has it does not matter. */
export interface Brought {
  /** Physical ids. */
  cpus: number[];
  /** Addresses of PCI functions. */
  functions: string[];
  chunks: MemoryRange[];
  /** A chunk that is being brought: one of so many bytes where none was `before`. */
  coming: { bytes: number; before: number[] } | null;
  /** Memory that the kernel of an instance may use, and that is not known to be booked for it. */
  strays: (MemoryRange & { name: string })[];
}

const NOTHING: Brought = { cpus: [], functions: [], chunks: [], coming: null, strays: [] };

export class BroughtStore {
  readonly #path: string;
  readonly #bootId: string;

  constructor(path: string, bootId = hostBootId()) {
    this.#path = path;
    this.#bootId = bootId;
  }

  read(): Brought {
    const found = read<Brought & { bootId: string }>(this.#path);
    if (found?.bootId !== this.#bootId) return NOTHING;
    const { bootId: _, ...brought } = found;
    return { ...NOTHING, ...brought };
  }

  write(brought: Brought): void {
    mkdirSync(dirname(this.#path), { recursive: true });
    write(this.#path, { bootId: this.#bootId, ...brought });
  }
}

/** What the instance of a kernel is called: the same from one launch to the next, and nobody else's. */
export const instanceName = (id: string): string => `pk-${id.slice(0, 12)}`;
