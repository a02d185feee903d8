/** Values as Go's templates see them. Pure. */

/** Maps in the order of their keys, as Go has it. */
export function entriesOf(value: object): [unknown, unknown][] {
  if (Array.isArray(value)) return value.map((item, index) => [index, item]);
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** As Go prints it with %v. */
export function goText(value: unknown): string {
  if (value === null || value === undefined) return '<no value>';
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`;
  if (typeof value === 'object')
    return `map[${entriesOf(value)
      .map(([key, item]) => `${key}:${goText(item)}`)
      .join(' ')}]`;
  return String(value);
}

/** Nothing, zero and what is empty are false. */
export const isTruth = (value: unknown): boolean =>
  typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value);
