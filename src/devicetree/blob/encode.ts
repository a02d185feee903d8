/** From a tree to a flattened blob, byte for byte what `dtc -O dtb` writes. */
import { PolykernelError } from '../../sys/errors.ts';
import { within } from '../limits.ts';
import { nodeNameProblem, propertyNameProblem, repeated, treeError } from '../names.ts';
import type { DeviceNode, DeviceTree } from '../tree.ts';
import { aligned, HEADER, HEADER_BYTES, LAST_COMPATIBLE, MAGIC, RESERVATION_BYTES, TOKEN } from './layout.ts';
import { StringTable } from './strings.ts';

export interface EncodeOptions {
  /** Of the format; default 17. */
  readonly version?: 16 | 17;
}

/**
 * The blob of `tree` (chapter 5): header, reservations, structure, strings, in this order and without gaps. Throws `invalid`
 * naming the node for names that the format or dtc does not allow, names twice in one node, and trees beyond the limits.
 */
export function encode(tree: DeviceTree, options: EncodeOptions = {}): Uint8Array<ArrayBuffer> {
  const version = options.version ?? 17;
  checkNumbers(tree);
  const size = new Survey();
  size.node(tree.root, '/', 0);
  const reservations = aligned(HEADER_BYTES[version], 8);
  const struct = reservations + (tree.reservations.length + 1) * RESERVATION_BYTES;
  const structSize = size.structBytes + 4;
  const total = struct + structSize + size.strings.bytes;
  within('blobBytes', total);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  const words: Record<keyof typeof HEADER, number> = {
    magic: MAGIC,
    totalSize: total,
    structOffset: struct,
    stringsOffset: struct + structSize,
    reservationsOffset: reservations,
    version,
    lastCompatible: LAST_COMPATIBLE,
    bootCpu: tree.bootCpu,
    stringsSize: size.strings.bytes,
    structSize,
  };
  for (const [name, offset] of Object.entries(HEADER))
    if (offset < HEADER_BYTES[version]) view.setUint32(offset, words[name as keyof typeof HEADER]);
  tree.reservations.forEach(({ address, size }, index) => {
    view.setBigUint64(reservations + index * RESERVATION_BYTES, address);
    view.setBigUint64(reservations + index * RESERVATION_BYTES + 8, size);
  });
  const end = new Writer(bytes, view, size.strings).node(tree.root, struct);
  view.setUint32(end, TOKEN.end);
  putText(bytes, struct + structSize, size.strings.text);
  return bytes;
}

/** What is longer than its place would be cut off, and be another number. */
function checkNumbers({ bootCpu, reservations }: DeviceTree): void {
  const refuse = (field: string, value: number | bigint, bits: number): never => {
    const problem = `device tree: ${field}: ${value} is no whole number of ${bits} bits`;
    throw new PolykernelError('invalid', problem, { field, value: Number(value) });
  };
  if (!Number.isInteger(bootCpu) || bootCpu < 0 || bootCpu > 0xffff_ffff) refuse('bootCpu', bootCpu, 32);
  for (const { address, size } of reservations)
    for (const number of [address, size]) if (BigInt.asUintN(64, number) !== number) refuse('reservations', number, 64);
}

/** First walk: checks, counts, and gives each name its place in the strings block. */
class Survey {
  readonly strings = new StringTable();
  structBytes = 0;
  #nodes = 0;
  #properties = 0;

  node(node: DeviceNode, path: string, depth: number): void {
    within('depth', depth);
    within('nodes', ++this.#nodes);
    this.#properties += node.properties.length;
    within('properties', this.#properties);
    const problem = depth === 0 ? rootProblem(node) : nodeNameProblem(node.name);
    if (problem !== undefined) throw treeError(path, problem);
    this.structBytes += 8 + aligned(node.name.length + 1, 4);
    for (const { name, value } of node.properties) {
      // What is in the table was looked at before.
      const wrong = this.strings.has(name) ? undefined : propertyNameProblem(name);
      if (wrong !== undefined) throw treeError(path, wrong);
      this.strings.offsetOf(name);
      this.structBytes += 12 + aligned(value.length, 4);
    }
    within('blobBytes', this.structBytes);
    const twice = repeated(node.properties) ?? repeated(node.children);
    if (twice !== undefined) throw treeError(path, `${JSON.stringify(twice.name)} is there twice`);
    const prefix = depth === 0 ? '/' : `${path}/`;
    for (const child of node.children) this.node(child, prefix + child.name, depth + 1);
  }
}

const rootProblem = ({ name }: DeviceNode): string | undefined =>
  name === '' ? undefined : 'the name of the root is empty';

/** Second walk: the structure block (5.4). */
class Writer {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #strings: StringTable;

  constructor(bytes: Uint8Array, view: DataView, strings: StringTable) {
    this.#bytes = bytes;
    this.#view = view;
    this.#strings = strings;
  }

  /** Writes `node` at `at`; gives the offset behind it. */
  node(node: DeviceNode, at: number): number {
    this.#view.setUint32(at, TOKEN.beginNode);
    putText(this.#bytes, at + 4, node.name);
    let next = at + 4 + aligned(node.name.length + 1, 4);
    for (const { name, value } of node.properties) {
      this.#view.setUint32(next, TOKEN.property);
      this.#view.setUint32(next + 4, value.length);
      this.#view.setUint32(next + 8, this.#strings.offsetOf(name));
      this.#bytes.set(value, next + 12);
      next += 12 + aligned(value.length, 4);
    }
    for (const child of node.children) next = this.node(child, next);
    this.#view.setUint32(next, TOKEN.endNode);
    return next + 4;
  }
}

function putText(bytes: Uint8Array, at: number, text: string): void {
  for (let index = 0; index < text.length; index++) bytes[at + index] = text.charCodeAt(index);
}

/** Throws `invalid` unless `word` is a version that can be written. */
export function versionOf(word: string | undefined): 16 | 17 {
  if (word === undefined || word === '17') return 17;
  if (word === '16') return 16;
  throw new PolykernelError('invalid', `version ${word} of the format cannot be written`, {
    field: 'version',
    value: word,
    hint: 'Give 17, or 16 for old programs.',
  });
}
