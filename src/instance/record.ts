/** What is kept of an instance across daemons. */
import { randomBytes } from 'node:crypto';
import type { Migration, OldRecord, TableDefinition } from '../core/table.ts';
import type { LaunchSpec } from '../driver/index.ts';
import type { Identity } from '../sys/identity.ts';
import { fieldDefaults } from './fields.ts';
import type { Machine } from './machine.ts';
import { sizeOf } from './size.ts';
import type { Sources } from './source.ts';
import type { InstanceSpec, InstanceStatus, Placement, Size } from './spec.ts';

export interface InstanceRecord {
  id: string;
  spec: InstanceSpec;
  /** As it was last changed; null = as declared. */
  size: Size | null;
  machine: Machine;
  /** What the present or last kernel was started with: what a later daemon finds it by. */
  launch: LaunchSpec | null;
  /** Session of the workload in the guest. */
  session: number | null;
  /** Sessions of clients that were promised to go on with the next daemon. */
  carried?: readonly number[];
  /** Of one that is paused: it is so for work of the daemon, and goes on without that. */
  pausedBriefly?: boolean;
  /** What it was before its spec changed, while what it has no more is being taken back. */
  former?: Pick<InstanceRecord, 'spec' | 'networkNumber'> | null;
  /** Whose its processes are on the host; null for one that was created before there were such: it gets its own at its next start. */
  identity: Identity | null;
  /** What its paths of the host stood for when it was created; null as above. */
  sources: Sources | null;
  bootId: string | null;
  kernelRelease: string | null;
  cloned: boolean | null;
  imageDigest: string | null;
  createdAt: string;
  startedAt: string | null;
  readyAt: string | null;
  readyMs: number | null;
  /** Where the workload of the last run began. */
  workingDirectory: string | null;
  restartAt: string | null;
  /** null unless the spec asks for a partition. */
  placement: Placement | null;
  /** Names its address in the private network; null without one. */
  networkNumber: number | null;
  /** The definition in the stack file that the spec was made from, as JSON; null without a stack. */
  definition: string | null;
}

/** What is to be another in a record. */
export type Change = Partial<Pick<InstanceRecord, 'spec' | 'size' | 'placement' | 'definition'>>;

/** What came with stacks, channels and networks, for records from before them. */
const withLaterParts: Migration = (record: OldRecord) => ({
  placement: null,
  definition: null,
  networkNumber: null,
  ...record,
  spec: { partition: null, tenant: null, stack: null, channels: [], network: 'none', publish: [], ...record.spec },
});

/** Ranges of ids in place of single ones, and paths that are held to what they were. */
const withIdentity: Migration = ({ slot: _, ...record }: OldRecord) => ({ identity: null, sources: null, ...record });

/** Users by name, and working directories that are only wished for. */
const withUser: Migration = ({ spec: { uid = 0, gid = 0, ...spec }, definition, ...record }: OldRecord) => ({
  workingDirectory: null,
  ...record,
  definition: definition === null ? null : JSON.stringify(definitionWithUser(JSON.parse(definition))),
  spec: { cwdOptional: false, user: `${uid}:${gid}`, ...spec },
});

function definitionWithUser({ create: { uid, gid, ...create }, ...definition }: OldRecord): OldRecord {
  const user = uid === undefined && gid === undefined ? {} : { user: `${uid ?? 0}:${gid ?? 0}` };
  return { ...definition, create: { ...create, ...user } };
}

/** Sizes that change. */
const withSize: Migration = ({ spec, ...record }: OldRecord) => ({
  size: null,
  ...record,
  spec: { elastic: null, ...spec },
});

/** UDP beside TCP. */
const withProtocols: Migration = (record: OldRecord) => ({
  ...record,
  spec: { ...record.spec, publish: record.spec.publish.map((port: OldRecord) => ({ protocol: 'tcp', ...port })) },
});

export const instanceTable: TableDefinition<InstanceRecord> = {
  name: 'instances',
  nameOf: ({ spec }) => spec.name,
  migrations: [withLaterParts, withIdentity, withUser, withSize, withProtocols],
  complete: ({ spec, ...record }) => ({
    ...record,
    spec: { ...fieldDefaults, autoRemove: false, merged: false, ...spec },
  }),
};

/** A new id: 32 lower-case hexadecimal digits. */
export const newInstanceId = (): string => randomBytes(16).toString('hex');

/** The record as the API shows it. */
export function statusOf(record: InstanceRecord, pid: number | null, takingOver: boolean): InstanceStatus {
  const { machine } = record;
  return {
    id: record.id,
    spec: record.spec,
    size: sizeOf(record),
    state: machine.state,
    takingOver,
    bootId: record.bootId,
    kernelRelease: record.kernelRelease,
    pid,
    cloned: record.cloned,
    imageDigest: record.imageDigest,
    createdAt: record.createdAt,
    startedAt: record.startedAt,
    readyMs: record.readyMs,
    workingDirectory: record.workingDirectory,
    restarts: machine.restarts,
    exit: machine.exit,
    restartAt: record.restartAt,
    placement: record.placement,
    address: record.launch?.network?.port.address ?? null,
  };
}

/** What is not known of a run that begins. */
export const NEW_RUN = {
  session: null,
  bootId: null,
  kernelRelease: null,
  cloned: null,
  readyAt: null,
  readyMs: null,
  workingDirectory: null,
} as const satisfies Partial<InstanceRecord>;
