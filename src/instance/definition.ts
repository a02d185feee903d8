/** What a stack file says of one kernel, and two such definitions compared in its words. */

import type { PartitionRequest } from '../ledger/index.ts';
import { vcpusOf } from '../ledger/index.ts';
import { fieldRows } from './fields.ts';
import type { CreateRequest } from './schema.ts';
import { liveChange } from './stack-options.ts';

export interface KernelDefinition {
  name: string;
  /** Its name in the file, which replicas have in common. */
  entry: string;
  /** Everything but name, partition and tenant, as the API takes it. */
  create: Omit<CreateRequest, 'name' | 'partition' | 'tenant'>;
  /** null = it owns nothing and runs on the housekeeping CPUs. */
  partition: PartitionRequest | null;
  tenant: string | null;
  /** Its keys in the file below which something comes from variables; absent where nothing does. */
  hidden?: readonly string[];
}

/** What a stack file is read beside. */
export interface StackContext {
  /** Absolute directory that relative paths in the file are below. */
  directory: string;
  /** Name of the stack where the file gives none. */
  defaultName: string;
  /** What `$NAME` in the file stands for, by name; values may be secrets. */
  variables?: Readonly<Record<string, string>>;
}

export interface FieldChange {
  /** As in the file, below the kernel: `environment.MODE`, `partition.cpus`. */
  path: string;
  /** null = absent. Values of the environment, and what comes from variables, may be secrets and are not shown. */
  before: unknown;
  after: unknown;
  /** Whether it takes effect without a restart of the instance. */
  live: boolean;
}

/** What is kept of a definition with its instance: everything but where it stands in the file. */
export function storedDefinition({ name, create, partition, tenant, hidden }: KernelDefinition): string {
  return JSON.stringify({ name, create, partition, tenant, hidden });
}

/** Every field in which `after` differs from what was stored, ascending by path. */
export function definitionChanges(stored: string, after: KernelDefinition): FieldChange[] {
  const before = JSON.parse(stored) as KernelDefinition;
  const old = fields(before);
  const now = fields(after);
  const secret = [...(before.hidden ?? []), ...(after.hidden ?? [])];
  const paths = [...new Set([...old.keys(), ...now.keys()])].sort();
  return paths
    .filter((path) => JSON.stringify(old.get(path)) !== JSON.stringify(now.get(path)))
    .map((path) => {
      // Other CPUs of the same number are a matter of pinning; more or fewer are another machine to the guest.
      const isLive =
        path === 'partition.cpus'
          ? before.partition !== null &&
            after.partition !== null &&
            vcpusOf(before.partition.cpus) === vcpusOf(after.partition.cpus)
          : liveChange(path);
      const hidden = path.startsWith('environment.') || secret.some((key) => `${path}.`.startsWith(`${key}.`));
      const shown = (value: unknown) => (value === undefined ? null : hidden ? '(hidden)' : value);
      return { path, before: shown(old.get(path)), after: shown(now.get(path)), live: isLive };
    });
}

function fields({ create, partition, tenant }: KernelDefinition): Map<string, unknown> {
  const { env = {}, memoryBytes, elastic, ...others } = create;
  const names = Object.fromEntries(fieldRows.map(([key, { stack }]) => [key, stack.key]));
  const all: Record<string, unknown> = {
    ...Object.fromEntries(Object.entries(others).map(([key, value]) => [names[key] ?? key, value])),
    memory: memoryBytes,
    'elastic.cpus': elastic?.cpus,
    'elastic.memory': elastic?.memoryBytes,
    tenant: tenant ?? undefined,
    'partition.cpus': partition?.cpus,
    'partition.memory': partition?.memory,
    'partition.devices': partition?.devices.length ? partition.devices : undefined,
  };
  for (const [name, value] of Object.entries(env)) all[`environment.${name}`] = value;
  return new Map(Object.entries(all).filter(([, value]) => value !== undefined));
}
