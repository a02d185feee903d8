/** Trees that change while an overlay is applied. New things come first in their node: so does libfdt put them. */
import { within } from '../limits.ts';
import { type DeviceNode, type DeviceProperty, propertyOf, u32Of } from '../tree.ts';
import type { Lookup } from './lookup.ts';

export interface Draft {
  readonly name: string;
  readonly properties: DeviceProperty[];
  readonly children: Draft[];
}

/** Where a fragment of an overlay belongs, and that place's path as the fragment or the tree has it. */
export interface Target {
  readonly node: Draft;
  readonly path: string;
}

/** A copy of `node` that may change. Its values are copied too: references in them are filled in. */
export function draftOf(node: DeviceNode, depth = 0): Draft {
  within('depth', depth);
  return {
    name: node.name,
    properties: node.properties.map(({ name, value }) => ({ name, value: new Uint8Array(value) })),
    children: node.children.map((child) => draftOf(child, depth + 1)),
  };
}

export function setProperty(lookup: Lookup, node: Draft, name: string, value: Uint8Array): void {
  lookup.count(node.properties.length + 1);
  const index = node.properties.findIndex((property) => property.name === name);
  if (index < 0) node.properties.unshift({ name, value });
  else node.properties[index] = { name, value };
}

/** As Lookup.child(); made when there is none. */
export function childNamed(lookup: Lookup, node: Draft, name: string): Draft {
  const known = lookup.child(node, name);
  if (known !== undefined) return known;
  const child: Draft = { name, properties: [], children: [] };
  node.children.unshift(child);
  return child;
}

/** A node's number (2.3.3), 0 for none. */
export const phandleOf = (node: DeviceNode): number =>
  u32Of(propertyOf(node, 'phandle')) ?? u32Of(propertyOf(node, 'linux,phandle')) ?? 0;
