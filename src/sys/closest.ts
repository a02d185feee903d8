/**
 * The candidate that `word` was probably meant to be, for did-you-mean hints: at most two edits away (one for words under
 * five letters), else the first that begins with it; undefined when none is near.
 */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length === 0 || word.length > 40) return undefined;
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let fewest = word.length < 5 ? 2 : 3;
  for (const candidate of candidates) {
    const edits = distance(wanted, candidate.toLowerCase());
    if (edits < fewest) [best, fewest] = [candidate, edits];
  }
  if (best === undefined && word.length >= 3) {
    best = candidates.find((candidate) => candidate.toLowerCase().startsWith(wanted));
  }
  return best;
}

/** Optimal string alignment distance: insertions, deletions, substitutions, and swaps of neighbours. */
function distance(a: string, b: string): number {
  let older: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + change);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) next[j] = Math.min(next[j]!, older[j - 2]! + 1);
    }
    older = row;
    row = next;
  }
  return row[b.length]!;
}
