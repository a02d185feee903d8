/** A letter and a colour for everybody who has something of the machine. */
import type { Ledger } from '../../ledger/index.ts';
import { DIM } from './line.ts';

export interface Mark {
  glyph: string;
  sgr: string | undefined;
}

/** The host kernel and what nobody owns. No letters, so that they cannot be taken for an owner's. */
export const HOST: Mark = { glyph: '=', sgr: DIM };
export const FREE: Mark = { glyph: '.', sgr: undefined };
export const SHARED: Mark = { glyph: '%', sgr: '48;5;250;38;5;16' };
export const OFFLINE: Mark = { glyph: '×', sgr: '31' };
/** Neither the pool's nor allowed to this process. */
export const BARRED: Mark = { glyph: '?', sgr: DIM };
/** Owners beyond the letters; each still has its colour. */
export const OTHERS: Mark = { glyph: '+', sgr: '7' };

/**
 * Backgrounds of the 256-colour palette under black text: of medium lightness, so that they stand out from dark and
 * light terminals alike (see owners.test.ts), and neighbours in hue far apart.
 */
export const PALETTE = [33, 208, 35, 170, 178, 37, 167, 99, 106, 211, 137, 67] as const;

const LETTERS = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'];

/**
 * Marks by owner, in the order of their names. An owner gets the first letter of its name if it can, and a colour that
 * follows from its name; colours are all different for up to twelve owners. When there are more owners than letters, those
 * with most CPUs get them.
 */
export function marksOf({ partitions }: Ledger): Map<string, Mark> {
  const names = Object.keys(partitions).sort();
  const lettered = names
    .toSorted((a, b) => partitions[b]!.cpus.length - partitions[a]!.cpus.length || (a < b ? -1 : 1))
    .slice(0, LETTERS.length);
  const letters = lettersFor(lettered.sort());
  const colors = colorsFor(names);
  return new Map(
    names.map((name) => {
      const sgr = `48;5;${colors.get(name)};38;5;16`;
      return [name, { glyph: letters.get(name) ?? OTHERS.glyph, sgr }];
    }),
  );
}

/** First come those who get a letter of their own name as they would like it, then the others. */
function lettersFor(names: readonly string[]): Map<string, string> {
  const taken = new Map<string, string>();
  const used = new Set<string>();
  const wishes: ((name: string) => readonly string[])[] = [
    (name) => [name[0]!],
    (name) => [name[0]!.toUpperCase(), ...name, ...name.toUpperCase()],
    () => LETTERS,
  ];
  for (const wish of wishes) {
    for (const name of names) {
      const letter = taken.has(name) ? undefined : wish(name).find((each) => LETTERS.includes(each) && !used.has(each));
      if (letter === undefined) continue;
      taken.set(name, letter);
      used.add(letter);
    }
  }
  return taken;
}

function colorsFor(names: readonly string[]): Map<string, number> {
  const colors = new Map<string, number>();
  const used = new Set<number>();
  for (const name of names) {
    let index = hash(name) % PALETTE.length;
    while (used.size < PALETTE.length && used.has(index)) index = (index + 1) % PALETTE.length;
    used.add(index);
    colors.set(name, PALETTE[index]!);
  }
  return colors;
}

/** FNV-1a, 32 bit. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ character.codePointAt(0)!, 0x01000193) >>> 0;
  return value;
}
