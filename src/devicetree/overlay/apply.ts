/**
 * Overlays, as libfdt and so `fdtoverlay` apply them: fragments with a target and what is to be there. The specification does
 * not have them; the format is that of dtc's plugins and of Linux's Documentation/devicetree/overlay-notes.rst.
 */
import { within } from '../limits.ts';
import { type DeviceTree, u32Of } from '../tree.ts';
import { childNamed, type Draft, draftOf, phandleOf, setProperty, type Target } from './draft.ts';
import { overlayError } from './error.ts';
import { Lookup } from './lookup.ts';
import { fillLocal, fillOutside, moveOn } from './references.ts';
import { cString, updateSymbols } from './symbols.ts';

/**
 * `base` with `overlay` applied; both stay as they are. Phandles of the overlay are moved behind those of the tree, references
 * to labels are looked up in the tree's `/__symbols__`, and symbols of the overlay are added to them. Throws `invalid` naming the
 * fragment or fixup at fault.
 */
export function applyOverlay(base: DeviceTree, overlay: DeviceTree): DeviceTree {
  const root = draftOf(base.root);
  const added = draftOf(overlay.root);
  const lookup = new Lookup();
  let most = 0;
  for (const [node] of lookup.walk(root)) most = Math.max(most, phandleOf(node));
  moveOn(lookup, added, most);
  fillLocal(lookup, added, most);
  fillOutside(lookup, root, added);
  // A target is looked up when its turn comes: a fragment before it may have made it.
  for (const fragment of added.children) {
    const content = lookup.child(fragment, '__overlay__');
    if (content !== undefined) merge(lookup, targetOf(lookup, root, fragment).node, content, 0);
  }
  updateSymbols(lookup, root, added, (fragment) => targetOf(lookup, root, fragment));
  return { ...base, root };
}

/** Properties replace those of their names, children are merged with those of theirs. */
function merge(lookup: Lookup, into: Draft, from: Draft, depth: number): void {
  within('depth', depth);
  for (const { name, value } of from.properties) setProperty(lookup, into, name, value);
  for (const child of from.children) merge(lookup, childNamed(lookup, into, child.name), child, depth + 1);
}

/** `target`, a phandle, counts before `target-path`. */
function targetOf(lookup: Lookup, root: Draft, fragment: Draft): Target {
  const value = lookup.property(fragment, 'target');
  const phandle = value === undefined ? 0 : u32Of(value);
  if (phandle === undefined || phandle === 0xffff_ffff)
    throw overlayError(`/${fragment.name}`, 'its target is no phandle; the reference may not have been resolved');
  if (phandle !== 0) {
    const found = lookup.first(root, (node) => phandleOf(node) === phandle);
    if (found !== undefined) return found;
    throw overlayError(
      `/${fragment.name}`,
      `no node of the tree has its target, the phandle 0x${phandle.toString(16)}`,
    );
  }
  const path = cString(lookup.property(fragment, 'target-path'));
  if (path === undefined) throw overlayError(`/${fragment.name}`, 'it has neither target nor target-path');
  const node = lookup.at(root, path);
  if (node === undefined)
    throw overlayError(`/${fragment.name}`, `its target-path ${JSON.stringify(path)} is not in the tree`);
  return { node, path };
}
