/** What functions share whose constants are the same, as those of virtual functions are by the thousand: what follows from constants alone. */
import type { Signal } from '../access.ts';
import { type Decoded, decode, type Piece, shownOf } from '../decode.ts';
import { CLASS_S, type Layout } from '../layout.ts';
import { Image, partOf, type Source } from '../source.ts';
import { zeroAt } from './constants.ts';
import { type ConstantBytes, constantBytes, type Run, type Shadow } from './shadow.ts';

/** Constant bytes of a function. Those that are alike are one object where they were stored. */
export interface Constants {
  /** Bit 4 of Status, which is constant in a register that is not. */
  readonly hasList: boolean;
  readonly runs: readonly Run[];
}

/** What outlives a process of one function. */
export interface Saved {
  readonly signal: Signal;
  readonly constants: Constants;
}

/** Of those that were stored. */
const ALIKE = new WeakMap<Constants, Alike>();

/** What functions of this size and kind share that have these constants. Undefined if such a function has no place for them. */
export function alikeOf(constants: Constants, size: number, isVirtual: boolean): Alike | undefined {
  const known = ALIKE.get(constants);
  if (known?.size === size && known.isVirtual === isVirtual) return known;
  if (constants.runs.some(({ offset, bytes }) => offset + bytes.length > size)) return undefined;
  const alike = new Alike(constants, size, isVirtual);
  ALIKE.set(constants, alike);
  return alike;
}

/** Values in the order of the places; undefined of what cannot be read. */
type State = readonly (number | undefined)[];

/** Devices say what states they are in, so that there is a bound. */
const MOST_STATES = 256;

export class Alike {
  readonly constants: Constants;
  readonly size: number;
  readonly isVirtual: boolean;
  readonly constant: ConstantBytes;
  /** That the constants led to without any other byte being read. */
  layout: Layout | undefined;
  /** By layout, which may follow from other bytes as well: without the registers of capabilities, and with them. */
  readonly #shown = new WeakMap<Layout, [Shown?, Shown?]>();

  constructor(constants: Constants, size: number, isVirtual: boolean) {
    this.constants = constants;
    this.size = size;
    this.isVirtual = isVirtual;
    this.constant = constantBytes(size, constants.runs);
  }

  /** What is shown of such a function. */
  shown(layout: Layout, registers: boolean): Shown {
    const all = this.#shown.get(layout) ?? [];
    this.#shown.set(layout, all);
    const index = registers ? 1 : 0;
    all[index] ??= new Shown(this.constant, layout, registers);
    return all[index];
  }
}

const bytesOf = ({ offset, width }: Piece): number[] => Array.from({ length: width }, (_, index) => offset + index);

/** What is shown of functions that are alike: it differs where they are in another state. */
export class Shown {
  /** How many places are read, constant ones too. */
  readonly places: number;
  /** Whether all constants among them are known. */
  readonly isWhole: boolean;
  /** Those that are not constant, with the dwords in which they lie. */
  readonly #state: readonly (Piece & { dword: Piece })[];
  readonly #constant: Image;
  readonly #layout: Layout;
  readonly #registers: boolean;
  readonly #said = new Map<string, Decoded>();

  constructor({ bytes, valid }: ConstantBytes, layout: Layout, registers: boolean) {
    const isKnown = (at: number) => (valid[at >> 3]! & (1 << (at & 7))) !== 0;
    const pieces = shownOf(layout, registers);
    this.places = pieces.length;
    this.#state = pieces
      .filter((piece) => !bytesOf(piece).every(isKnown))
      .map((piece) => ({ ...piece, dword: { offset: piece.offset & ~3, width: 4 } }));
    // What should be zero and is not is never known.
    const isConstant = (at: number) => layout.classes[at] === CLASS_S && zeroAt(layout, at) === undefined;
    this.isWhole = !this.#state.flatMap(bytesOf).some((at) => isConstant(at) && !isKnown(at));
    this.#constant = new Image(bytes);
    this.#layout = layout;
    this.#registers = registers;
  }

  /** The state that a function is in: known since `since`, or asked for, all that is not in one go. */
  values(known: Shadow, since: number, ask: (dwords: readonly Piece[]) => (number | undefined)[]): State {
    const values: (number | undefined)[] = [];
    const unknown: Piece[] = [];
    for (const { offset, width, dword } of this.#state) {
      const value = known.get(offset, width, since);
      values.push(value);
      if (value === undefined) unknown.push(dword);
    }
    const dwords = ask(unknown);
    for (let index = 0, next = 0; index < values.length; index++) {
      if (values[index] !== undefined) continue;
      const [dword, { offset, width }] = [dwords[next++], this.#state[index]!];
      if (dword !== undefined) values[index] = partOf(dword, offset & 3, width);
    }
    return values;
  }

  /** Of a function in whose state these are the values: as was said of another in the same one, if there was any. */
  decode(values: State): Decoded {
    const key = values.join();
    const same = this.#said.get(key);
    if (same !== undefined) return same;
    const decoded = frozen(decode(this.#source(values), { layout: this.#layout, registers: this.#registers })!);
    if (this.#said.size < MOST_STATES) this.#said.set(key, decoded);
    return decoded;
  }

  #source(values: State): Source {
    const places = new Map(this.#state.map(({ offset }, index) => [offset >> 2, index]));
    const read: Source['read'] = (offset, width) => {
      const index = places.get(offset >> 2);
      if (index === undefined) return this.#constant.read(offset, width);
      const value = values[index];
      return value === undefined ? undefined : partOf(value, offset - this.#state[index]!.offset, width);
    };
    return { size: this.#constant.size, read, kept: read };
  }
}

/** Many are told the same. */
function frozen(decoded: Decoded): Decoded {
  for (const { registers } of decoded.capabilities) Object.freeze(registers);
  for (const part of [decoded.header, decoded.regions, decoded.capabilities, decoded.problems]) {
    for (const each of part) Object.freeze(each);
    Object.freeze(part);
  }
  return Object.freeze(decoded);
}
