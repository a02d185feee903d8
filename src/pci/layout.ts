/** What lies where in a configuration space, and what may be kept of each byte. Everything a device says is hostile. */
import type { CacheClass, Register } from './register.ts';
import { TYPE_0, TYPE_1, UNKNOWN_LAYOUT, VIRTUAL } from './rules/header.ts';
import type { Source, Width } from './source.ts';
import { type Capability, type Known, walk } from './walk.ts';

export type { Capability } from './walk.ts';

export interface Layout {
  /** 0 of functions, 1 of bridges, 2 of CardBus. */
  readonly headerType: number;
  readonly header: readonly Register[];
  /** In the order of their chains. */
  readonly capabilities: readonly Capability[];
  /** What is wrong with it, in words. */
  readonly problems: readonly string[];
  /** Of each byte: CLASS_S, CLASS_W, CLASS_N. */
  readonly classes: Uint8Array;
  /** The same as a bit for each byte: of class S or W, and of class S. */
  readonly cacheable: Uint8Array;
  readonly constant: Uint8Array;
  /** Registers that may be kept only as zero, by the dword in which they lie. */
  readonly zeros: ReadonlyMap<number, readonly Zero[]>;
}

/** A register that may be kept only as zero, in the configuration space. */
export interface Zero {
  readonly offset: number;
  readonly bytes: Width;
  /** Bits that start something when they are written, and read as zero. */
  readonly but: number;
  /** Only while this register is known to be zero too. */
  readonly with: number | undefined;
}

export const CLASS_N = 0;
export const CLASS_S = 1;
export const CLASS_W = 2;
const CODES: Readonly<Record<CacheClass, number>> = { N: CLASS_N, S: CLASS_S, W: CLASS_W };

/** Marks the bytes of `registers`, which count from `offset`. */
function mark(classes: Uint8Array, registers: readonly Register[], offset = 0): void {
  for (const { at, bytes, class: kind } of registers) classes.fill(CODES[kind], offset + at, offset + at + bytes);
}

/**
 * Finds out what there is by walking the chains of capabilities (PCIe 7.5.1.1.11, 7.6.3). Undefined when nobody answers.
 */
export function readLayout(source: Source, known: Known = {}): Layout | undefined {
  const type = source.read(0x0e, 1);
  if (type === undefined || type === 0xff) return undefined;
  const headerType = type & 0x7f;
  const header = headerType === 0 && known.virtual ? VIRTUAL : ([TYPE_0, TYPE_1][headerType] ?? UNKNOWN_LAYOUT);
  const { capabilities, problems } = walk(source, headerType, known);
  const key = [headerType, header === VIRTUAL, source.size, problems.join(), ...capabilities.map(keyOf)].join(' ');
  const same = LAYOUTS.get(key);
  if (same !== undefined) return same;
  const classes = classesOf(source.size, header, capabilities);
  const zeros = zerosOf(capabilities);
  const layout = { headerType, header, capabilities, problems, classes, zeros, ...bitmapsOf(classes) };
  if (LAYOUTS.size < MOST_LAYOUTS) LAYOUTS.set(key, layout);
  return layout;
}

/** Thousands of virtual functions are all alike: each layout is there once. Devices say what they are, so that there is a bound. */
const LAYOUTS = new Map<string, Layout>();
const MOST_LAYOUTS = 256;

/** What a layout has of a capability, in words. */
const keyOf = ({ id, extended, version, offset, bytes, registers }: Capability): string =>
  `${id} ${extended} ${version} ${offset} ${bytes} ${registers.map(wordsOf)}`;
const wordsOf = ({ name, at, class: kind, hidden, isZero, zeroBut }: Register): string =>
  `${name}${at}${kind}${hidden ?? ''}${isZero ?? ''}${zeroBut ?? ''}`;

function zerosOf(capabilities: readonly Capability[]): Map<number, Zero[]> {
  const zeros = capabilities.flatMap(({ offset: start, registers }) =>
    registers.flatMap(({ at, bytes, zeroBut: but, zeroWith }): Zero[] => {
      if (but === undefined) return [];
      return [
        { offset: start + at, bytes: bytes as Width, but, with: zeroWith === undefined ? zeroWith : start + zeroWith },
      ];
    }),
  );
  return Map.groupBy(zeros, ({ offset }) => offset >> 2);
}

function bitmapsOf(classes: Uint8Array): Pick<Layout, 'cacheable' | 'constant'> {
  const bitmap = (isMeant: (kind: number) => boolean): Uint8Array => {
    const bits = new Uint8Array(Math.ceil(classes.length / 8));
    for (const [at, kind] of classes.entries()) if (isMeant(kind)) bits[at >> 3]! |= 1 << (at & 7);
    return bits;
  };
  return { cacheable: bitmap((kind) => kind !== CLASS_N), constant: bitmap((kind) => kind === CLASS_S) };
}

/** Bytes that two capabilities lay claim to are nobody's: what one says is constant the other may change. */
function classesOf(size: number, header: readonly Register[], capabilities: readonly Capability[]): Uint8Array {
  const classes = new Uint8Array(size);
  mark(classes, header);
  const claims = new Uint8Array(size);
  for (const { offset, bytes, registers, extended } of capabilities) {
    classes.fill(CLASS_S, offset, offset + (extended ? 4 : 2));
    mark(classes, registers, offset);
    for (let at = offset; at < Math.min(offset + bytes, size); at++) claims[at] = Math.min(claims[at]! + 1, 2);
  }
  for (let at = 0; at < size; at++) if (claims[at] === 2) classes[at] = CLASS_N;
  return classes;
}
