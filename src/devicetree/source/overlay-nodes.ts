/**
 * Nodes that tell whoever applies an overlay what its references mean: `__symbols__` in the tree it is for, `__fixups__` and
 * `__local_fixups__` in the overlay. The specification does not have them; Linux's Documentation/devicetree and dtc do.
 */
import { Budget } from '../limits.ts';
import { u32Cell } from './cells.ts';
import { visit } from './check.ts';
import type { Lookup } from './lookup.ts';
import type { Marker, SourceNode as Node, SourceProperty } from './nodes.ts';
import { SourceProperty as Property, SourceNode } from './nodes.ts';
import type { Phandles } from './phandles.ts';

/** Adds `/NAME` with a path for every label that is not there yet. With `phandles`, each labelled node gets one. */
export function addLabels(root: Node, name: string, phandles: Phandles | undefined): void {
  const labelled: Node[] = [];
  visit(root, (node) => {
    if (node.labels.length > 0) labelled.push(node);
  });
  if (!labelled.some(({ labels }) => labels.some(({ deleted }) => !deleted))) return;
  const table = childOf(root, name);
  const budget = new Budget();
  for (const node of labelled) {
    for (const label of node.labels) {
      if (label.deleted || table.properties.live(label.name) !== undefined) continue;
      const path = text(node.path);
      budget.add(path.length);
      table.properties.add(new Property(label.name, path, [], node.place));
    }
    phandles?.of(node);
  }
}

interface Use {
  readonly node: Node;
  readonly property: SourceProperty;
  readonly marker: Marker;
}

/** `/__fixups__`: for each label of another tree, where its node's phandle belongs: PATH:PROPERTY:OFFSET. */
export function addFixups(root: Node, lookup: Lookup): void {
  const uses = references(root).filter(({ marker }) => lookup.find(marker.name) === undefined);
  if (uses.length === 0) return;
  const table = childOf(root, '__fixups__');
  const values = new Appended();
  for (const { node, property, marker } of uses)
    values.add(table, marker.name, text(`${node.path}:${property.name}:${marker.offset}`));
  values.join();
}

/** `/__local_fixups__`: the overlay's own tree again, with the offsets of all phandles of its own nodes. */
export function addLocalFixups(root: Node, lookup: Lookup): void {
  const uses = references(root).filter(({ marker }) => lookup.find(marker.name) !== undefined);
  if (uses.length === 0) return;
  const table = childOf(root, '__local_fixups__');
  const values = new Appended();
  for (const { node, property, marker } of uses) values.add(shadow(table, node), property.name, u32Cell(marker.offset));
  values.join();
}

function references(root: Node): Use[] {
  const uses: Use[] = [];
  visit(root, (node) => {
    node.eachProperty((property) => {
      for (const marker of property.markers) if (marker.kind === 'phandle') uses.push({ node, property, marker });
    });
  });
  return uses;
}

function childOf(node: Node, name: string): Node {
  const known = node.children.live(name);
  if (known !== undefined) return known;
  const child = new SourceNode(name, node.place);
  node.adopt(child);
  return child;
}

const shadow = (table: Node, node: Node): Node =>
  node.parent === undefined ? table : childOf(shadow(table, node.parent), node.name);

/** Values that grow piece by piece, and are put together at the end. */
class Appended {
  readonly #parts = new Map<SourceProperty, Uint8Array[]>();
  readonly #budget = new Budget();

  add(node: Node, name: string, value: Uint8Array): void {
    this.#budget.add(value.length);
    const property = node.properties.live(name) ?? new Property(name, new Uint8Array(), [], node.place);
    if (node.properties.live(name) === undefined) node.properties.add(property);
    const parts = this.#parts.get(property) ?? [property.value];
    parts.push(value);
    this.#parts.set(property, parts);
  }
  join(): void {
    for (const [property, parts] of this.#parts) property.value = new Uint8Array(Buffer.concat(parts));
  }
}

const text = (value: string): Uint8Array => Buffer.from(`${value}\0`, 'latin1');
