/** The words in which rules say what lies in a configuration space: registers of a class, and the fields in them. Pure. */

/**
 * What may be kept of a byte. `S`: constant until the function is reset. `W`: changes only when somebody writes it. `N`: the
 * device changes it by itself, reading or writing it has effects elsewhere, or nobody knows.
 */
export type CacheClass = 'S' | 'W' | 'N';

export interface Field {
  readonly name: string;
  /** Its lowest bit. */
  readonly low: number;
  readonly bits: number;
  /** What its value means; without it a single bit is shown as `Name+` or `Name-`, others as a number. */
  readonly says?: (value: number) => string;
}

export interface Register {
  readonly name: string;
  /** Bytes from the start of its capability, or of the header. */
  readonly at: number;
  /** 1 to 4 for what is shown as a number; more are only classed. */
  readonly bytes: number;
  readonly class: CacheClass;
  readonly fields?: readonly Field[];
  /**
   * Of virtual functions: zero for ever by the specification, and kept only as that, whole, for some devices have something there. These
   * bits of it start something when they are written, and read as zero.
   */
  readonly zeroBut?: number;
  /** Kept as zero only while this other register of its capability, of as many bytes, is known to be zero too. */
  readonly zeroWith?: number;
  /** Zero by the specification, and known without being read. */
  readonly isZero?: true;
  /** Only classed: reserved bytes, and those a decoder of its own shows. */
  readonly hidden?: true;
}

type Parts = readonly (readonly Field[])[];

/** A register that is shown: by its fields, or as a number when it has none. */
export const register = (name: string, at: number, bytes: number, kind: CacheClass, ...parts: Parts): Register =>
  parts.length === 0 ? { name, at, bytes, class: kind } : { name, at, bytes, class: kind, fields: parts.flat() };

/** Bytes that are only classed. */
export const bytes = (name: string, at: number, length: number, kind: CacheClass): Register => ({
  name,
  at,
  bytes: length,
  class: kind,
  hidden: true,
});

/** One-bit fields by name from bit `low` upwards; `.` is a bit without one. */
export const flags = (names: string, low = 0): Field[] =>
  names
    .split(' ')
    .map((name, index) => ({ name, low: low + index, bits: 1 }))
    .filter(({ name }) => name !== '.');

/** A field of several bits, with the meaning of its values. */
export const value = (name: string, low: number, bits: number, says?: (value: number) => string): Field[] => [
  says === undefined ? { name, low, bits } : { name, low, bits, says },
];

/** The meaning of a value that is an index of `words`. */
export const oneOf =
  (...words: readonly string[]) =>
  (index: number): string =>
    words[index] ?? `unknown (${index})`;

export const hex = (number: number, digits = 1): string => number.toString(16).padStart(digits, '0');

/** The value of `field` in a register of at most 32 bits. */
export const fieldOf = (field: Field, of: number): number => Math.floor(of / 2 ** field.low) % 2 ** field.bits;
