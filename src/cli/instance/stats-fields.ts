/** Measurements as templates of `--format` see them: by docker's names. Pure. */
import { formatBytes } from '../../sys/units.ts';
import type { InstanceStats } from '../../telemetry/contract.ts';
import type { View } from '../kit/template.ts';
import { percent } from './stats-text.ts';

const bytes = (value: number | null | undefined): string => (value == null ? '-' : formatBytes(value));

export function statsFields({
  id,
  name,
  state,
  driver,
  memoryBytes,
  guest,
  host,
  restarts,
}: InstanceStats): View['fields'] {
  const used = guest?.memory?.usedBytes;
  return {
    ID: id.slice(0, 12),
    Name: name,
    Container: name,
    State: state,
    Driver: driver,
    CPUPerc: percent(guest?.busy),
    HostPerc: percent(host?.cpu),
    MemUsage: `${bytes(used)} / ${formatBytes(memoryBytes)}`,
    MemPerc: used == null ? '-' : `${((used / memoryBytes) * 100).toFixed(2)}%`,
    NetIO: `${bytes(guest?.network?.receivedBytes)} / ${bytes(guest?.network?.sentBytes)}`,
    BlockIO: `${bytes(guest?.disk?.readBytes)} / ${bytes(guest?.disk?.writtenBytes)}`,
    Restarts: restarts,
  };
}
