/**
 * The delay-loop constant (`lpj`) of UML kernels on this machine. Calibrating it takes a boot 0.1 s; it depends on the
 * kernel and on how fast the machine is, which nothing names (the same model of CPU runs at many rates). So it is taken from
 * the first boot of a kernel since the host booted, and kept in the cache.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { hostBootId } from '../../sys/host-boot.ts';

/** The kernel that was measured. */
interface Learned {
  image: { digest: string };
  append?: readonly string[];
}

export class LpjCache {
  readonly #path: string;
  readonly #bootId: string;
  #known: Promise<Record<string, number>> | undefined;

  constructor(path: string, bootId: string = hostBootId()) {
    this.#path = path;
    this.#bootId = bootId;
  }

  /** The constant for a kernel image, or undefined when it was not measured since the host booted. */
  async get(imageDigest: string): Promise<number | undefined> {
    this.#known ??= readTable(this.#path);
    return (await this.#known)[this.#key(imageDigest)];
  }

  /**
   * Keeps what a kernel said on its console as it booted. One that was given words of its own may have been told to say anything, in its
   * `lpj=` or in the line that repeats its words, and all kernels of its image would go by that.
   */
  async learn({ image, append = [] }: Learned, console: string): Promise<void> {
    const lpj = append.length > 0 ? undefined : parseLpj(console);
    if (lpj !== undefined) await this.set(image.digest, lpj);
  }

  /** Keeps a constant; a cache that cannot be written only costs time. */
  async set(imageDigest: string, lpj: number): Promise<void> {
    // What other processes found meanwhile is kept, but not what is of an earlier boot.
    const found = Object.entries(await readTable(this.#path)).filter(([key]) => key.endsWith(` ${this.#bootId}`));
    const table = { ...Object.fromEntries(found), [this.#key(imageDigest)]: lpj };
    this.#known = Promise.resolve(table);
    const temporary = `${this.#path}.${randomBytes(4).toString('hex')}`;
    try {
      await mkdir(dirname(this.#path), { recursive: true });
      await writeFile(temporary, JSON.stringify(table));
      await rename(temporary, this.#path);
    } catch {
      // The next boot measures again.
    }
  }

  #key(imageDigest: string): string {
    return `${imageDigest} ${this.#bootId}`;
  }
}

const CALIBRATING = 'Calibrating delay loop';
/** From that text to its end, the line of a kernel is much shorter. */
const MOST_OF_LINE = 200;
/** It stands among the first lines of a boot. */
const MOST_TEXT = 64 * 1024;

/** `lpj=` out of the kernel's "Calibrating delay loop" message. */
export function parseLpj(console: string): number | undefined {
  const at = console.slice(0, MOST_TEXT).indexOf(CALIBRATING);
  if (at < 0) return undefined;
  const [line = ''] = console.slice(at, at + MOST_OF_LINE).split('\n', 1);
  const digits = line.split('(lpj=', 2)[1] ?? '';
  const match = /^(\d{3,12})\)/.exec(digits);
  return match === null ? undefined : Number(match[1]);
}

async function readTable(path: string): Promise<Record<string, number>> {
  try {
    const table: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof table !== 'object' || table === null) return {};
    return Object.fromEntries(Object.entries(table).filter(([, lpj]) => Number.isSafeInteger(lpj) && lpj > 0));
  } catch {
    return {};
  }
}
