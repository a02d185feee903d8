/** References (6.3, 6.4): phandles are given to nodes that are referred to, and values filled in. In the order of dtc. */
import { Budget } from '../limits.ts';
import { propertyNameProblem } from '../names.ts';
import { u32Of } from '../tree.ts';
import { putCell } from './cells.ts';
import { visit } from './check.ts';
import type { Lookup } from './lookup.ts';
import { deleteNode, type Marker, type SourceNode, type SourceProperty } from './nodes.ts';
import { Phandles } from './phandles.ts';
import { sourceError } from './place.ts';

export interface Resolution {
  /** Of an overlay: what cannot be found is another tree's, to be filled in when the overlay is applied. */
  readonly isPlugin: boolean;
  /** Labelled nodes are not left out, and get phandles: they may be referred to by overlays. */
  readonly keepLabelled: boolean;
}

export function resolve(root: SourceNode, lookup: Lookup, how: Resolution): Phandles {
  const phandles = new Phandles(root, lookup);
  visit(root, (node) => {
    node.eachProperty((property) => fillPhandles(property, lookup, phandles, how));
  });
  const budget = new Budget();
  visit(root, (node) => {
    node.eachProperty((property) => fillPaths(property, lookup, budget));
  });
  visit(root, (node) => {
    if (node.omitIfUnused && !node.referenced && !(how.keepLabelled && node.labels.length > 0)) deleteNode(node);
  });
  return phandles;
}

function fillPhandles(property: SourceProperty, lookup: Lookup, phandles: Phandles, how: Resolution): void {
  for (const marker of property.markers) {
    if (marker.kind !== 'phandle') continue;
    const node = lookup.find(marker.name);
    if (node === undefined) {
      if (!how.isPlugin) missing(marker);
      // Its name becomes one of a property of /__fixups__.
      if (propertyNameProblem(marker.name) !== undefined)
        throw sourceError(
          marker.place,
          `&{${marker.name}} is not in this overlay; nodes of other trees have to be named by labels`,
        );
      continue;
    }
    node.referenced = true;
    putCell(property.value, marker.offset, phandles.of(node));
  }
}

/** Each path is put in where its reference stands: what comes behind it moves. */
function fillPaths(property: SourceProperty, lookup: Lookup, budget: Budget): void {
  if (!property.markers.some(({ kind }) => kind === 'path')) return;
  const parts: Uint8Array[] = [];
  let from = 0;
  let moved = 0;
  for (const marker of property.markers) {
    const { offset } = marker;
    marker.offset += moved;
    if (marker.kind !== 'path') continue;
    const node = lookup.find(marker.name) ?? missing(marker);
    node.referenced = true;
    const path = Buffer.from(`${node.path}\0`, 'latin1');
    budget.add(path.length);
    parts.push(property.value.subarray(from, offset), path);
    from = offset;
    moved += path.length;
  }
  property.value = new Uint8Array(Buffer.concat([...parts, property.value.subarray(from)]));
}

function missing({ name, place }: Marker): never {
  throw sourceError(place, `there is no node ${name.startsWith('/') ? `&{${name}}` : `&${name}`}`);
}

/** Physical id of the CPU that boots, as dtc guesses it: the `reg` of the first in /cpus. Before references are filled in. */
export function bootCpuOf(lookup: Lookup): number {
  const first = lookup.find('/cpus')?.children.all[0];
  return u32Of(first?.properties.live('reg')?.value) ?? 0;
}
