/** How large what is read may be. Sources and blobs come from anywhere; every count below bounds memory or the stack. */
import { PolykernelError } from '../sys/errors.ts';

export interface Limits {
  /** All files of a source together, /incbin/ too. */
  readonly sourceBytes: number;
  /** A blob, and so all values of a tree. */
  readonly blobBytes: number;
  /** Nodes within nodes. Linux and libfdt's paths stop at 64 as well. */
  readonly depth: number;
  readonly nodes: number;
  readonly properties: number;
  /** Labels and references. */
  readonly markers: number;
  /** Nodes that have one label at some time. */
  readonly labelled: number;
  /** Parentheses, signs and conditions within each other. */
  readonly expressionDepth: number;
  /** Files that include files. */
  readonly includeDepth: number;
  readonly nameBytes: number;
  /** Names that are longer than any in use, of all properties together. */
  readonly longNames: number;
  /** Nodes, properties and characters of paths that are looked at for one overlay: a lookup goes through what it looks in. */
  readonly lookups: number;
}

export const LIMITS: Limits = {
  sourceBytes: 16 * 2 ** 20,
  blobBytes: 64 * 2 ** 20,
  depth: 64,
  nodes: 2 ** 18,
  properties: 2 ** 19,
  markers: 2 ** 18,
  labelled: 1000,
  expressionDepth: 100,
  includeDepth: 100,
  nameBytes: 1024,
  longNames: 1000,
  lookups: 2 ** 25,
};

/** What is counted, in words of an error. */
const WORDS: Readonly<Record<keyof Limits, string>> = {
  sourceBytes: 'bytes of source',
  blobBytes: 'bytes of device tree',
  depth: 'levels of nodes',
  nodes: 'nodes',
  properties: 'properties',
  markers: 'labels and references',
  labelled: 'nodes with one label',
  expressionDepth: 'levels of an expression',
  includeDepth: 'levels of /include/',
  nameBytes: 'bytes of a name',
  longNames: 'long names of properties',
  lookups: 'nodes and properties to look through for an overlay',
};

/** What is wrong when `limit` is passed. */
export const tooMany = (limit: keyof Limits): string => `more than ${LIMITS[limit]} ${WORDS[limit]}`;

/** Throws `invalid` when `count` is more than `limit` allows. */
export function within(limit: keyof Limits, count: number): void {
  if (count > LIMITS[limit]) {
    throw new PolykernelError('invalid', `device tree: ${tooMany(limit)}`, { field: limit, value: count });
  }
}

/** Counts bytes of a tree that grows: references can make a small source a large one. */
export class Budget {
  #bytes = 0;

  /** Throws `invalid` when all that was added is more than a tree may have. */
  add(bytes: number): void {
    this.#bytes += bytes;
    within('blobBytes', this.#bytes);
  }
}
