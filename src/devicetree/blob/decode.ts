/** From a flattened blob to a tree. The blob may come from anywhere: nothing in it is believed before it was checked. */
import { LIMITS, within } from '../limits.ts';
import { nodeNameProblem, propertyNameProblem, repeated, treeError } from '../names.ts';
import { type DeviceNode, type DeviceProperty, type DeviceTree, latin1, type Reservation } from '../tree.ts';
import { type Blocks, blobError, readHeader } from './header.ts';
import { aligned, RESERVATION_BYTES, TOKEN } from './layout.ts';

/**
 * The tree of a blob of version 16 or 17, or of a later one that says it can be read as 17. Bytes behind `totalsize` are not
 * looked at. Values are parts of a copy. Throws `invalid` naming the offset of what is wrong.
 */
export function decode(blob: Uint8Array): DeviceTree {
  within('blobBytes', blob.length);
  const blocks = readHeader(new Uint8Array(blob));
  return { reservations: readReservations(blocks), bootCpu: blocks.bootCpu, root: new Structure(blocks).root() };
}

/** 5.3: entries up to the one of size zero; as dtc and libfdt do, whatever its address. */
function readReservations({ view, reservations, total }: Blocks): Reservation[] {
  const found: Reservation[] = [];
  for (let at = reservations; ; at += RESERVATION_BYTES) {
    if (at + RESERVATION_BYTES > total) throw blobError(at, 'the list of reservations has no end');
    const size = view.getBigUint64(at + 8);
    if (size === 0n) return found;
    found.push({ address: view.getBigUint64(at), size });
  }
}

/** A node that is still read. */
interface Open extends DeviceNode {
  readonly properties: DeviceProperty[];
  readonly children: DeviceNode[];
}

/** 5.4: the structure block, token by token. */
class Structure {
  readonly #blocks: Blocks;
  /** All bytes as characters: names are parts of it. */
  readonly #characters: string;
  /** Names by their offset in the strings block: most occur often. */
  readonly #names = new Map<number, string>();
  #at: number;
  #nodes = 0;
  #properties = 0;

  constructor(blocks: Blocks) {
    this.#blocks = blocks;
    this.#characters = latin1(blocks.bytes);
    this.#at = blocks.struct;
  }

  root(): DeviceNode {
    const open: Open[] = [];
    for (;;) {
      const start = this.#at;
      const token = this.#word();
      const inside = open.at(-1);
      if (token === TOKEN.nop) continue;
      if (token === TOKEN.beginNode) {
        within('depth', open.length);
        open.push(this.#begin(inside));
      } else if (token === TOKEN.property && inside !== undefined) {
        // 5.4.2. Readers disagree on what such a property would be, so that it must not be.
        if (inside.children.length > 0) throw blobError(start, 'a property follows a child of its node');
        inside.properties.push(this.#property(open));
      } else if (token === TOKEN.endNode && inside !== undefined) {
        const twice = repeated(inside.properties) ?? repeated(inside.children);
        if (twice !== undefined) throw treeError(pathOf(open), `${JSON.stringify(twice.name)} is there twice`);
        open.pop();
        const parent = open.at(-1);
        if (parent === undefined) return this.#ended(inside);
        parent.children.push(inside);
      } else {
        throw blobError(start, `0x${token.toString(16)} is no token that may be here`);
      }
    }
  }

  /** Behind the root comes FDT_END (5.4.1), before it at most NOPs. */
  #ended(root: DeviceNode): DeviceNode {
    let start = this.#at;
    let token = this.#word();
    while (token === TOKEN.nop) {
      start = this.#at;
      token = this.#word();
    }
    if (token !== TOKEN.end) throw blobError(start, 'the structure does not end with its root');
    return root;
  }

  #word(): number {
    if (this.#at + 4 > this.#blocks.structEnd) throw blobError(this.#at, 'the structure block ends too early');
    this.#at += 4;
    return this.#blocks.view.getUint32(this.#at - 4);
  }

  #begin(parent: Open | undefined): Open {
    within('nodes', ++this.#nodes);
    const start = this.#at;
    const name = this.#text(start, this.#blocks.structEnd);
    this.#at = start + aligned(name.length + 1, 4);
    const problem = parent !== undefined ? nodeNameProblem(name) : name === '' ? undefined : 'the root has a name';
    if (problem !== undefined) throw blobError(start, problem);
    return { name, properties: [], children: [] };
  }

  #property(open: readonly Open[]): DeviceProperty {
    within('properties', ++this.#properties);
    const length = this.#word();
    const name = this.#name(this.#word());
    const start = this.#at;
    if (length > this.#blocks.structEnd - start)
      throw blobError(start - 8, `the value of ${pathOf(open)}:${name} is longer than the block`);
    this.#at = start + aligned(length, 4);
    return { name, value: this.#blocks.bytes.subarray(start, start + length) };
  }

  /** 5.5: a name by its offset. */
  #name(offset: number): string {
    const known = this.#names.get(offset);
    if (known !== undefined) return known;
    const { strings, stringsEnd } = this.#blocks;
    if (offset >= stringsEnd - strings)
      throw blobError(this.#at - 4, `name offset 0x${offset.toString(16)} is outside`);
    const name = this.#text(strings + offset, stringsEnd);
    const problem = propertyNameProblem(name);
    if (problem !== undefined) throw blobError(strings + offset, problem);
    this.#names.set(offset, name);
    return name;
  }

  #text(start: number, end: number): string {
    const stop = this.#characters.indexOf('\0', start);
    if (stop < 0 || stop >= Math.min(end, start + LIMITS.nameBytes + 1))
      throw blobError(start, `a name has no end within ${LIMITS.nameBytes} bytes`);
    return this.#characters.slice(start, stop);
  }
}

const pathOf = (open: readonly Open[]): string => open.map(({ name }) => name).join('/') || '/';
