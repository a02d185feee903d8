/** Words of the ledger as a stack file has them. Each reader gives undefined after it has told the problem. */
import type { Place, YamlReader } from '../core/yaml-reader.ts';
import { MOST_NODE, readSize } from '../core/yaml-values.ts';
import { normalizePciAddress } from '../topology/pci-address.ts';
import type { NodeMemory } from './types.ts';

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
    if (!/^(0|[1-9]\d{0,4})$/.test(key) || Number(key) > MOST_NODE) {
      return reader.problem(
        { ...value, offset: value.keyOffset },
        `${JSON.stringify(key)} is not the number of a NUMA node`,
        'Write a map such as {0: 12GiB, 1: 12GiB}.',
      );
    }
    const bytes = readSize(reader, value);
    return bytes === undefined ? undefined : { node: Number(key), bytes };
  });
  if (memory.includes(undefined)) return undefined;
  return (memory as NodeMemory[]).sort((a, b) => a.node - b.node);
}
