export function sameSet(a: ReadonlySet<number> | undefined, b: ReadonlySet<number>): boolean {
  return a === b || (a !== undefined && a.size === b.size && [...a].every((id) => b.has(id)));
}
