/** What a fuzzer needs to know of one decoder. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Target {
  /** Of its corpus, in test/fuzz/corpus. */
  readonly name: string;
  /** Words of the format, which random bytes would never hit. */
  readonly dictionary: readonly (string | Uint8Array)[];
  /** Longest input in bytes; default 4096. What a decoder gets is cut there in the product too, or is longer there. */
  readonly maxBytes?: number;
  /**
   * Decodes one input and checks what must hold of the outcome, such as that encoding gives the same bytes. Returns what
   * it decoded, the size of which is checked.
   */
  readonly run: (input: Buffer) => unknown;
  /** Errors besides PolykernelError by which it refuses; its callers turn them into one. */
  readonly refusal?: new (
    ...values: never[]
  ) => Error;
  /** Corrects an input after it was changed, such as a checksum without which nothing else would be looked at. */
  readonly repair?: (input: Buffer) => Buffer;
  /** Most bytes of what is decoded: this many, and so many for each byte of input. Default 64 KiB and 64. */
  readonly output?: { readonly base: number; readonly perByte: number };
  /** Most steps (executed blocks of our code): this many, and so many for each byte of input. Default 20,000 and 200. */
  readonly steps?: { readonly base: number; readonly perByte: number };
  /** Most milliseconds of own CPU time for one input, for what steps do not show, such as patterns. Default 2000. */
  readonly cpuMs?: number;
}

const CORPUS = join(import.meta.dirname, 'corpus');

export const corpusDirectory = (name: string): string => join(CORPUS, name);

/** The inputs in the tree for a target, in the order of their names. */
export function corpus(name: string): { file: string; bytes: Buffer }[] {
  return readdirSync(corpusDirectory(name))
    .sort()
    .map((file) => ({ file, bytes: readFileSync(join(corpusDirectory(name), file)) }));
}

/** Throws unless `condition`: a property of the decoder does not hold. */
export function must(condition: boolean, property: string): asserts condition {
  if (!condition) throw new Error(`property violated: ${property}`);
}
