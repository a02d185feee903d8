/**
 * Counts the names of an archive by directory. sqfstar has a list for each directory, which it goes through from its start
 * for every part of every name: many names in one directory, or many below a full one, take it hours.
 */
import { randomInt } from 'node:crypto';
import { plainText } from '../sys/text.ts';

/** Of one path. */
const MOST_PARTS = 128;
/** Of a part of a path that is shown. */
const SHOWN = 200;

export interface NameBounds {
  /** Names in one directory. */
  names: number;
  /** Names that are gone through to find the places of all, some 15 ns each. */
  lookups: number;
}

export class TarNames {
  readonly #bounds: NameBounds;
  /** Names in each directory, by the hash of its path: paths themselves could be gigabytes. */
  readonly #directories = new Map<number, number>([[0, 0]]);
  // Nobody can make two paths that meet without knowing it.
  readonly #seed = [randomInt(2 ** 32), randomInt(2 ** 32)] as const;
  #lookups = 0;

  constructor(bounds: NameBounds) {
    this.#bounds = bounds;
  }

  /**
   * Takes an entry in, its path with a character for each byte.
   * @returns how many directories on the way to it no entry has named yet. @throws RangeError with the bound.
   */
  add(path: string, isDirectory: boolean): number {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    if (parts.length > MOST_PARTS) throw new RangeError(`it holds a path of more than ${MOST_PARTS} names`);
    let implied = 0;
    let [one, two] = this.#seed;
    let parent = 0;
    for (const [index, part] of parts.entries()) {
      [one, two] = [mixed(one, part), mixed(two ^ 0x5bd1_e995, part)];
      const here = (one >>> 0) * 2 ** 20 + (two >>> 12);
      const isLast = index === parts.length - 1;
      const isKnown = this.#directories.has(here);
      if (!isKnown) {
        this.#count(parent, parts.slice(0, index));
        if (!isLast || isDirectory) this.#directories.set(here, 0);
        if (!isLast) implied += 1;
      }
      this.#lookups += this.#directories.get(parent)!;
      parent = here;
    }
    if (this.#lookups > this.#bounds.lookups)
      throw new RangeError('it holds too many names in and below large directories to be packed in reasonable time');
    return implied;
  }

  #count(directory: number, parts: readonly string[]): void {
    const count = this.#directories.get(directory)! + 1;
    if (count > this.#bounds.names) {
      const path = plainText(Buffer.from(parts.join('/'), 'latin1').toString());
      const shown = path.length > SHOWN ? `${path.slice(0, SHOWN)}…` : path;
      throw new RangeError(`its directory /${shown} holds more than ${this.#bounds.names} names`);
    }
    this.#directories.set(directory, count);
  }
}

/** One more part of a path. */
function mixed(seed: number, part: string): number {
  let hash = Math.imul(seed ^ part.length, 0x9e37_79b1);
  for (let at = 0; at < part.length; at++) {
    hash = Math.imul(hash ^ part.charCodeAt(at), 0x85eb_ca6b);
    hash ^= hash >>> 15;
  }
  return hash;
}
