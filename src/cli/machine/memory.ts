/** Memory of one node as a bar. */
import { bytesOn, type Ledger } from '../../ledger/index.ts';
import { formatBytes } from '../../sys/units.ts';
import type { NumaNode } from '../../topology/index.ts';
import { clip, DIM, type Line, plain } from './line.ts';
import { FREE, HOST, type Mark } from './owners.ts';

interface Part {
  mark: Mark;
  bytes: number;
}

/** What owners have of a node, what is free in the pool, and what is the host's: in numbers and to scale. */
export function memoryLines(node: NumaNode, ledger: Ledger, marks: ReadonlyMap<string, Mark>, room: number): Line[] {
  if (node.memoryBytes === 0) return [[plain('no memory', DIM)]];
  const parts: Part[] = Object.keys(ledger.partitions)
    .sort()
    .map((owner) => ({ mark: marks.get(owner)!, bytes: bytesOn(ledger.partitions[owner]!.memory, node.id) }));
  const owned = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const pool = bytesOn(ledger.pool?.memory ?? [], node.id);
  const free = Math.max(pool - owned, 0);
  const host = Math.max(node.memoryBytes - Math.max(pool, owned), 0);
  const words = [
    ...(owned > 0 ? [`owned ${formatBytes(owned)}`] : []),
    ...(free > 0 ? [`free ${formatBytes(free)}`] : []),
    ...(host > 0 ? [`host ${formatBytes(host)}`] : []),
  ];
  const title = clip(`memory ${formatBytes(node.memoryBytes)}: ${words.join(', ')}`, room);
  return [[plain(title, DIM)], bar([...parts, { mark: FREE, bytes: free }, { mark: HOST, bytes: host }], room)];
}

/** `room` columns divided in proportion; what is there at all gets at least one, as long as that is possible. */
export function bar(all: readonly Part[], room: number): Line {
  const parts = all.filter(({ bytes }) => bytes > 0);
  const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const least = parts.length <= room ? 1 : 0;
  let used = 0;
  let bytesSoFar = 0;
  return parts.map(({ mark, bytes }, index) => {
    bytesSoFar += bytes;
    const after = parts.length - index - 1;
    const end = Math.round((bytesSoFar / total) * room);
    const columns = Math.min(Math.max(end - used, least), room - used - after * least);
    used += columns;
    return plain(mark.glyph.repeat(columns), mark.sgr);
  });
}
