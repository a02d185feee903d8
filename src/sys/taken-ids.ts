/** Which user and group ids of this machine are somebody's: users', groups', and what users have been given besides. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type IdBlock, readSubids } from './identity.ts';

export const overlap = (a: IdBlock, b: IdBlock): boolean => a.start < b.start + b.count && b.start < a.start + a.count;

/** As files of this machine say; what only a directory service knows is not among them. */
export function takenIds(etc = '/etc'): IdBlock[] {
  return [
    ...readSubids(join(etc, 'subuid')),
    ...readSubids(join(etc, 'subgid')),
    ...numbers(join(etc, 'passwd'), [2, 3]),
    ...numbers(join(etc, 'group'), [2]),
  ];
}

/** passwd(5), group(5): of each line the `fields` that are ids. */
function numbers(file: string, fields: readonly number[]): IdBlock[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line) => fields.map((field) => line.split(':', field + 1)[field] ?? ''))
      .flatMap((text) => (/^\d{1,10}$/.test(text) ? [{ start: Number(text), count: 1 }] : []));
  } catch {
    return [];
  }
}

/** An id of `among` that is in none of `taken` and not `isUsed`: the next from `first` on, around to it; undefined: there is none. */
export function freeId(
  among: IdBlock,
  taken: readonly IdBlock[],
  first = among.start,
  isUsed: (id: number) => boolean = () => false,
): number | undefined {
  const near = taken.filter((block) => overlap(block, among));
  for (let step = 0; step < among.count; step += 1) {
    const start = among.start + ((first - among.start + step) % among.count);
    if (!isUsed(start) && !near.some((block) => overlap(block, { start, count: 1 }))) return start;
  }
  return undefined;
}
