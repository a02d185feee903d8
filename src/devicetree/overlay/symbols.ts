/** Symbols of an overlay, which become symbols of the tree: later overlays may refer to what it added. */
import { Budget } from '../limits.ts';
import { isNamed, latin1, textOf } from '../tree.ts';
import { childNamed, type Draft, setProperty, type Target } from './draft.ts';
import { overlayError } from './error.ts';

/** Text up to the first NUL, or to the end. */
export function cString(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : latin1(value).split('\0', 1)[0];
}

/** `/FRAGMENT/__overlay__`, and what may be below it. Whatever else a symbol names does not get into the tree. */
const IN_FRAGMENT = /^\/([^/]*)\/__overlay__(?:\/(.*))?$/s;

export function updateSymbols(root: Draft, overlay: Draft, targetOf: (fragment: Draft) => Target): void {
  const symbols = overlay.children.find((child) => isNamed(child, '__symbols__'));
  if (symbols === undefined) return;
  const known = childNamed(root, '__symbols__');
  const budget = new Budget();
  for (const { name, value } of symbols.properties) {
    const path = textOf(value);
    if (!path?.startsWith('/')) throw overlayError(`/__symbols__:${name}`, 'its value is no path');
    const found = IN_FRAGMENT.exec(path);
    if (found === null) continue;
    const fragment = overlay.children.find((child) => isNamed(child, found[1]!));
    if (!fragment?.children.some((child) => isNamed(child, '__overlay__')))
      throw overlayError(`/__symbols__:${name}`, `there is no fragment ${JSON.stringify(found[1]!.slice(0, 100))}`);
    const target = targetOf(fragment).path;
    const text = `${target.length > 1 ? target : ''}/${found[2] ?? ''}\0`;
    budget.add(text.length);
    setProperty(known, name, Buffer.from(text, 'latin1'));
  }
}
