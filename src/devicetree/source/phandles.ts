/** Numbers of nodes (2.3.3): those that the source gives, and new ones for nodes that are referred to. */
import { u32Of } from '../tree.ts';
import { u32Cell } from './cells.ts';
import { visit } from './check.ts';
import type { Lookup } from './lookup.ts';
import { type SourceNode, SourceProperty } from './nodes.ts';
import { sourceError } from './place.ts';

const NO_PHANDLE = 0xffff_ffff;

export class Phandles {
  readonly #nodes = new Map<number, SourceNode>();
  /** Numbers below it are taken, or were once. */
  #next = 1;

  /** Takes in the numbers that the source gives. Throws `invalid` for what is none, or is there twice. */
  constructor(root: SourceNode, lookup: Lookup) {
    visit(root, (node) => this.#given(node, lookup));
  }

  /** The number of `node`, which gets one if it has none, and the property with it. */
  of(node: SourceNode): number {
    if (node.phandle !== 0) return node.phandle;
    while (this.#isTaken(this.#next)) this.#next++;
    node.phandle = this.#next;
    this.#nodes.set(node.phandle, node);
    if (node.properties.live('phandle') === undefined)
      node.properties.add(new SourceProperty('phandle', u32Cell(node.phandle), [], node.place));
    return node.phandle;
  }

  #isTaken(phandle: number): boolean {
    const node = this.#nodes.get(phandle);
    return node !== undefined && !node.deleted;
  }

  #given(node: SourceNode, lookup: Lookup): void {
    const own = numberIn(node, 'phandle', lookup);
    const old = numberIn(node, 'linux,phandle', lookup);
    const phandle = own || old;
    if (phandle === 0) return;
    if (own !== 0 && old !== 0 && own !== old)
      throw sourceError(node.place, 'the properties "phandle" and "linux,phandle" differ');
    if (this.#nodes.has(phandle))
      throw sourceError(
        node.place,
        `${this.#nodes.get(phandle)!.path} has the phandle 0x${phandle.toString(16)} as well`,
      );
    node.phandle = phandle;
    this.#nodes.set(phandle, node);
  }
}

/** 0 for none, also for a reference to the node itself, which asks for any number. */
function numberIn(node: SourceNode, name: string, lookup: Lookup): number {
  const property = node.properties.live(name);
  if (property === undefined) return 0;
  const phandle = u32Of(property.value);
  if (phandle === undefined)
    throw sourceError(property.place, `"${name}" has ${property.value.length} bytes instead of 4`);
  const marker = property.markers.find(({ kind }) => kind === 'phandle');
  if (marker !== undefined) {
    if (lookup.find(marker.name) === node) return 0;
    throw sourceError(marker.place, `"${name}" of a node refers to another`);
  }
  if (phandle === 0 || phandle === NO_PHANDLE)
    throw sourceError(property.place, `0x${phandle.toString(16)} is no phandle`);
  return phandle;
}
