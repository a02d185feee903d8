/** What planners are to leave alone although nobody has it: changes under way are to give it to somebody. Pure. */
import { free } from './ledger.ts';
import { bytesOn } from './memory.ts';
import type { Ledger, Partition } from './types.ts';

/** What somebody is to have. */
export interface Promised {
  owner: string;
  partition: Partition;
}

/**
 * Of what is promised all that nobody has yet, nothing twice, by words that say for whom: beside the partitions of `ledger` it can
 * stand as if it were one of them.
 */
export function reserved(ledger: Ledger, promised: readonly Promised[]): Record<string, Partition> {
  const all: Record<string, Partition> = {};
  for (const { owner, partition } of promised) {
    const left = free({ ...ledger, partitions: { ...ledger.partitions, ...all } });
    const has = ledger.partitions[owner];
    const memory = partition.memory.flatMap(({ node, bytes }) => {
      const more = Math.min(bytes - bytesOn(has?.memory ?? [], node), bytesOn(left.memory, node));
      return more > 0 ? [{ node, bytes: more }] : [];
    });
    const more: Partition = {
      cpus: partition.cpus.filter((cpu) => left.cpus.includes(cpu)),
      shared: moreShared(partition, has, left.shared),
      memory,
      hugePageBytes: partition.hugePageBytes,
      devices: partition.devices.filter((device) => left.devices.includes(device)),
    };
    const isNothing = more.shared === null && [more.cpus, memory, more.devices].every(({ length }) => length === 0);
    if (!isNothing) all[wordsFor(owner, all)] = more;
  }
  return all;
}

/** In equal parts on each of its CPUs, as any claim is: no more than the one with the least left has. */
function moreShared(
  { shared }: Partition,
  has: Partition | undefined,
  left: readonly { cpu: number; milliCpus: number }[],
): Partition['shared'] {
  if (shared === null) return null;
  const part = Math.ceil(shared.milliCpus / shared.cpus.length);
  const parts = shared.cpus.map((cpu) => {
    const own = has?.shared?.cpus.includes(cpu) ? Math.ceil(has.shared.milliCpus / has.shared.cpus.length) : 0;
    return Math.min(part - own, left.find((each) => each.cpu === cpu)?.milliCpus ?? 0);
  });
  const least = Math.min(...parts);
  return least > 0 ? { ...shared, milliCpus: least * shared.cpus.length } : null;
}

function wordsFor(owner: string, known: Readonly<Record<string, Partition>>): string {
  const words = `a change of ${owner}`;
  let name = words;
  for (let number = 2; name in known; number++) name = `${words} (${number})`;
  return name;
}
