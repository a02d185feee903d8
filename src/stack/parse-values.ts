/** Values that several options share. Each reader gives undefined after it has told the problem. */
import type { NodeMemory } from '../ledger/index.ts';
import { parseCpuList } from '../sys/cpu-list.ts';
import { parseBytes, parseDuration } from '../sys/units.ts';
import { normalizePciAddress } from '../topology/pci-address.ts';
import type { Place, YamlReader } from './yaml-reader.ts';

/** The least page of every machine: what is no multiple of it can never be given. */
const PAGE_BYTES = 4096;

export function readCpuList(reader: YamlReader, place: Place): number[] | undefined {
  const text = reader.text(place, 'a list of CPUs', 'Write numbers and ranges, such as 2-7,10.');
  if (text === undefined) return undefined;
  return reader.attempt(place, () => parseCpuList(text), 'Write numbers and ranges, such as 2-7,10.');
}

/** Whole pages, above 0. */
export function readSize(reader: YamlReader, place: Place): number | undefined {
  const text = reader.text(place, 'a size', 'Write a number with its unit, such as 512MiB or 2G.');
  const bytes = text === undefined ? undefined : reader.attempt(place, () => parseBytes(text));
  if (bytes === undefined) return undefined;
  if (bytes === 0) return reader.problem(place, 'must be more than 0');
  if (bytes % PAGE_BYTES === 0) return bytes;
  const below = Math.floor(bytes / PAGE_BYTES) * PAGE_BYTES;
  return reader.problem(
    place,
    `${bytes} bytes are not whole pages of ${PAGE_BYTES} bytes`,
    `The nearest sizes are ${below} and ${below + PAGE_BYTES}.`,
  );
}

/** Milliseconds, at most an hour. */
export function readDuration(reader: YamlReader, place: Place): number | undefined {
  const text = reader.text(place, 'a duration', 'Write a number with its unit, such as 10s or 1m30s.');
  const milliseconds = text === undefined ? undefined : reader.attempt(place, () => parseDuration(text));
  if (milliseconds === undefined || milliseconds <= 3_600_000) return milliseconds;
  return reader.problem(place, `${text} is longer than an hour`);
}

export function readPciAddress(reader: YamlReader, place: Place): string | undefined {
  const text = reader.text(place, 'a PCI address', 'Write it in quotes, such as "0000:3b:00.0".');
  return text === undefined ? undefined : reader.attempt(place, () => normalizePciAddress(text));
}

/** `{0: 12GiB, 1: 12GiB}`, ascending by node. */
export function readMemoryPerNode(reader: YamlReader, place: Place): NodeMemory[] | undefined {
  const entries = reader.map(place);
  if (entries === undefined) return undefined;
  if (entries.size === 0) return reader.problem(place, 'must name at least one NUMA node');
  const memory = [...entries].map(([key, value]) => {
    if (!/^\d{1,5}$/.test(key))
      return reader.problem(
        value,
        `${JSON.stringify(key)} is not the number of a NUMA node`,
        'Write a map such as {0: 12GiB, 1: 12GiB}.',
      );
    const bytes = readSize(reader, value);
    return bytes === undefined ? undefined : { node: Number(key), bytes };
  });
  if (memory.includes(undefined)) return undefined;
  return (memory as NodeMemory[]).sort((a, b) => a.node - b.node);
}
