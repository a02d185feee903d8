/** How reasons and refusals name things. */
import { cpusText } from '../../sys/cpu-list.ts';
import type { Room } from './room.ts';
import type { Site } from './site.ts';

export const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

/** `node 0`, `nodes 0 and 1`; nodes are indices. */
export function nodesText(site: Site, nodes: readonly number[]): string {
  const ids = [...nodes].map((node) => site.nodes[node]!).sort((a, b) => a - b);
  return `node${ids.length === 1 ? '' : 's'} ${listText(ids.map(String))}`;
}

export function listText(words: readonly string[], last = 'and'): string {
  if (words.length < 2) return words.join();
  return `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`;
}

/** `node 0, L3 of CPUs 8-15`. */
export function l3Text(room: Room, l3: number): string {
  const { cpus, node } = room.site.l3s[l3]!;
  return `node ${room.site.nodes[node]}, L3 of ${cpusText(cpus ?? [])}`;
}

const UNITS = [
  ['TiB', 2 ** 40],
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10],
] as const;

/** The exact number of bytes in the largest unit that divides it: `4 KiB`, `8 GiB`, `1500 MiB`. */
export function exactBytes(bytes: number): string {
  const unit = UNITS.find(([, size]) => bytes !== 0 && bytes % size === 0);
  return unit === undefined ? `${bytes} B` : `${bytes / unit[1]} ${unit[0]}`;
}

/** Two decimals, rounded down, in the unit of `like`, so that two sizes a page apart never look equal: `7.99 GiB`. */
export function sizeLike(bytes: number, like: number): string {
  const [unit, size] = UNITS.find(([, each]) => like >= each) ?? (['B', 1] as const);
  return size === 1 ? `${bytes} B` : `${(Math.floor((bytes / size) * 100) / 100).toFixed(2)} ${unit}`;
}

/** `Release db, or allow cache: any.` */
export function sentence(ways: readonly string[]): string {
  const text = ways.length < 2 ? ways.join() : `${ways.slice(0, -1).join(', ')}, or ${ways.at(-1)}`;
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
