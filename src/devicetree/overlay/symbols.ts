/** Symbols of an overlay, which become symbols of the tree: later overlays may refer to what it added. */
import { Budget } from '../limits.ts';
import { latin1, textOf } from '../tree.ts';
import { childNamed, type Draft, setProperty, type Target } from './draft.ts';
import { overlayError } from './error.ts';
import type { Lookup } from './lookup.ts';

/** Text up to the first NUL, or to the end. */
export function cString(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : latin1(value).split('\0', 1)[0];
}

/** `/FRAGMENT/__overlay__`, and what may be below it. Whatever else a symbol names does not get into the tree. */
const IN_FRAGMENT = /^\/([^/]*)\/__overlay__(?:\/(.*))?$/s;

export function updateSymbols(
  lookup: Lookup,
  root: Draft,
  overlay: Draft,
  targetOf: (fragment: Draft) => Target,
): void {
  const symbols = lookup.child(overlay, '__symbols__');
  if (symbols === undefined) return;
  const known = childNamed(lookup, root, '__symbols__');
  const budget = new Budget();
  for (const { name, value } of symbols.properties) {
    const path = textOf(value);
    if (!path?.startsWith('/')) throw overlayError(`/__symbols__:${name}`, 'its value is no path');
    const found = IN_FRAGMENT.exec(path);
    if (found === null) continue;
    const fragment = lookup.child(overlay, found[1]!);
    if (fragment === undefined || lookup.child(fragment, '__overlay__') === undefined)
      throw overlayError(`/__symbols__:${name}`, `there is no fragment ${JSON.stringify(found[1]!.slice(0, 100))}`);
    const target = targetOf(fragment).path;
    const text = `${target.length > 1 ? target : ''}/${found[2] ?? ''}\0`;
    budget.add(text.length);
    setProperty(lookup, known, name, Buffer.from(text, 'latin1'));
  }
}
