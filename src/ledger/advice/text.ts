/** How advice names things. */
/** `1 core`, `2 cores`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** `node 1`, `nodes 0, 2`. */
export function nodesText(nodes: Iterable<number>): string {
  const ids = [...nodes].sort((a, b) => a - b);
  return `node${ids.length === 1 ? '' : 's'} ${ids.join(', ')}`;
}

/** The first few, and how many more. */
export function few(items: readonly string[], most = 3): string {
  if (items.length <= most) return items.join(', ');
  return `${items.slice(0, most).join(', ')} and ${items.length - most} more`;
}
