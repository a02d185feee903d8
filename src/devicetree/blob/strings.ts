/**
 * The strings block (5.5), filled as dtc does: a name that already lies in the block, also as the end of another, is used where
 * it first occurs.
 */

import { within } from '../limits.ts';

/** Ends of names up to this length are found by a table; longer ones, which nobody has, are searched for among each other. */
const INDEXED = 64;

export class StringTable {
  /** All names, each with its NUL. */
  #text = '';
  /** First place of every name, and of every end of one. */
  readonly #places = new Map<string, number>();
  /** Those that are longer. */
  readonly #long: { name: string; place: number }[] = [];

  get bytes(): number {
    return this.#text.length;
  }
  get text(): string {
    return this.#text;
  }

  /** Whether `name` got its place before. */
  has(name: string): boolean {
    return this.#places.has(name);
  }

  /** Offset of `name` in the block, where it is put when it is in none. */
  offsetOf(name: string): number {
    const known = this.#places.get(name);
    if (known !== undefined) return known;
    const place = this.#endOfLong(name) ?? this.#append(name);
    this.#places.set(name, place);
    return place;
  }

  #endOfLong(name: string): number | undefined {
    if (name.length <= INDEXED) return undefined;
    const found = this.#long.find((each) => each.name.endsWith(name));
    return found && found.place + found.name.length - name.length;
  }

  #append(name: string): number {
    const place = this.#text.length;
    if (name.length > INDEXED) within('longNames', this.#long.push({ name, place }));
    this.#text += `${name}\0`;
    for (let skip = Math.max(0, name.length - INDEXED); skip < name.length; skip++) {
      const end = name.slice(skip);
      if (!this.#places.has(end)) this.#places.set(end, place + skip);
    }
    return place;
  }
}
