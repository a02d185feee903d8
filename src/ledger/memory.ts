/** Arithmetic on bytes per NUMA node. Results are ascending by node and leave out nodes with nothing. */
import type { NodeMemory } from './types.ts';

export function bytesOn(memory: readonly NodeMemory[], node: number): number {
  return memory.find((each) => each.node === node)?.bytes ?? 0;
}

export function totalBytes(memory: readonly NodeMemory[]): number {
  return memory.reduce((sum, each) => sum + each.bytes, 0);
}

export function addMemory(...parts: readonly (readonly NodeMemory[])[]): NodeMemory[] {
  return combine(
    parts,
    parts.map(() => 1),
  );
}

/** May hold negative numbers, which say by how much `less` exceeds `from`. */
export function subtractMemory(from: readonly NodeMemory[], ...less: readonly (readonly NodeMemory[])[]): NodeMemory[] {
  return combine([from, ...less], [1, ...less.map(() => -1)]);
}

function combine(parts: readonly (readonly NodeMemory[])[], signs: readonly number[]): NodeMemory[] {
  const sums = new Map<number, number>();
  for (const [index, part] of parts.entries()) {
    for (const { node, bytes } of part) sums.set(node, (sums.get(node) ?? 0) + bytes * signs[index]!);
  }
  return [...sums]
    .filter(([, bytes]) => bytes !== 0)
    .sort(([a], [b]) => a - b)
    .map(([node, bytes]) => ({ node, bytes }));
}
