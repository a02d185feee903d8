/** How two trees differ. The order of nodes and properties means nothing (2.2.1) and is not looked at. */
import { Budget } from './limits.ts';
import type { DeviceNode, DeviceTree } from './tree.ts';

/** One difference. Without `property` it is about a whole node; `before` and `after` are absent where nothing was or is. */
export interface TreeChange {
  readonly kind: 'added' | 'removed' | 'changed';
  readonly path: string;
  readonly property?: string;
  readonly before?: Uint8Array;
  readonly after?: Uint8Array;
}

/** What has to change for `before` to say what `after` does; properties before children. Added nodes stand for all in them. */
export function diffTrees(before: DeviceTree, after: DeviceTree): TreeChange[] {
  const changes: TreeChange[] = [];
  const budget = new Budget();
  compare(before.root, after.root, '/', changes, budget);
  return changes;
}

function compare(before: DeviceNode, after: DeviceNode, path: string, changes: TreeChange[], budget: Budget): void {
  budget.add(path.length);
  for (const [property, old, now] of paired(before.properties, after.properties)) {
    const same = old !== undefined && now !== undefined && Buffer.compare(old.value, now.value) === 0;
    if (!same) changes.push({ kind: kindOf(old, now), path, property, before: old?.value, after: now?.value });
  }
  for (const [name, old, now] of paired(before.children, after.children)) {
    const below = path === '/' ? `/${name}` : `${path}/${name}`;
    if (old !== undefined && now !== undefined) compare(old, now, below, changes, budget);
    else changes.push({ kind: kindOf(old, now), path: below });
  }
}

const kindOf = (before: unknown, after: unknown): TreeChange['kind'] =>
  before === undefined ? 'added' : after === undefined ? 'removed' : 'changed';

/** Items of both by their names, in the order of the first, then those that only the second has. */
function paired<Item extends { readonly name: string }>(before: readonly Item[], after: readonly Item[]) {
  const left = new Map(before.map((item) => [item.name, item]));
  const right = new Map(after.map((item) => [item.name, item]));
  const names = new Set([...left.keys(), ...right.keys()]);
  return [...names].map((name) => [name, left.get(name), right.get(name)] as const);
}
