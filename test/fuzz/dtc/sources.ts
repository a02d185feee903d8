/** Changed sources: tokens of the language left out, repeated, swapped and replaced, and characters in them changed. */
import type { Random } from '../random.ts';

const TOKEN = /"(?:[^"\\]|\\.)*"|\/[a-z0-9-]+\/|&\{[^}]*\}|&?[\w,.+*#?@-]+:?|\s+|./gs;

export const tokensOf = (source: string): readonly string[] => source.match(TOKEN) ?? [];

export function changedSource(random: Random, sources: readonly (readonly string[])[]): Buffer {
  const tokens = [...random.pick(sources)];
  for (let change = random.below(3); change >= 0; change--) {
    const at = random.below(tokens.length);
    const other = random.below(tokens.length);
    const token = tokens[at]!;
    const cut = random.below(token.length);
    [
      () => tokens.splice(at, 1),
      () => tokens.splice(at, 0, tokens[other]!),
      () => tokens.splice(at, 1, random.pick(random.pick(sources))),
      () => tokens.splice(at, 1, ...tokens.splice(other, 1, token)),
      () =>
        tokens.splice(at, 1, token.slice(0, cut) + String.fromCharCode(32 + random.below(95)) + token.slice(cut + 1)),
    ][random.below(5)]!();
  }
  return Buffer.from(tokens.join(''), 'latin1');
}
