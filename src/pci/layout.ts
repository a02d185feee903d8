/** What lies where in a configuration space, and what may be kept of each byte. Everything a device says is hostile. */
import type { CacheClass, Register } from './register.ts';
import { TYPE_0, TYPE_1, UNKNOWN_LAYOUT } from './rules/header.ts';
import type { Source } from './source.ts';
import { type Capability, walk } from './walk.ts';

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
}

export const CLASS_N = 0;
export const CLASS_S = 1;
export const CLASS_W = 2;
const CODES: Readonly<Record<CacheClass, number>> = { N: CLASS_N, S: CLASS_S, W: CLASS_W };

/** The first 64 bytes of a function whose header type is `type`. */
export const headerRegisters = (type: number): readonly Register[] => [TYPE_0, TYPE_1][type] ?? UNKNOWN_LAYOUT;

/** Marks the bytes of `registers`, which count from `offset`. */
export function mark(classes: Uint8Array, registers: readonly Register[], offset = 0): void {
  for (const { at, bytes, class: kind } of registers) classes.fill(CODES[kind], offset + at, offset + at + bytes);
}

/**
 * Finds out what there is by walking the chains of capabilities (PCIe 7.5.1.1.11, 7.6.3). Undefined when nobody answers.
 * @param hasList bit 4 of Status when it is known already: constant, but in a register that is not
 */
export function readLayout(source: Source, hasList?: boolean): Layout | undefined {
  const type = source.read(0x0e, 1);
  if (type === undefined || type === 0xff) return undefined;
  const headerType = type & 0x7f;
  const header = headerRegisters(headerType);
  const { capabilities, problems } = walk(source, headerType, hasList);
  return { headerType, header, capabilities, problems, classes: classesOf(source.size, header, capabilities) };
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
