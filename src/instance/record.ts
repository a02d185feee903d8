/** What is kept of an instance across daemons. */
import type { LaunchSpec } from '../driver/index.ts';
import type { Machine } from './machine.ts';
import type { InstanceSpec, InstanceStatus } from './spec.ts';

export interface InstanceRecord {
  id: string;
  spec: InstanceSpec;
  machine: Machine;
  /** What the present or last kernel was started with: what a later daemon finds it by. */
  launch: LaunchSpec | null;
  /** Session of the workload in the guest. */
  session: number | null;
  /** Slot of the unprivileged uid, if it has one. */
  slot: number | null;
  bootId: string | null;
  kernelRelease: string | null;
  cloned: boolean | null;
  imageDigest: string | null;
  createdAt: string;
  startedAt: string | null;
  readyAt: string | null;
  readyMs: number | null;
  restartAt: string | null;
}

/** The record as the API shows it. */
export function statusOf(record: InstanceRecord, pid: number | null): InstanceStatus {
  const { machine } = record;
  return {
    id: record.id,
    spec: record.spec,
    state: machine.state,
    bootId: record.bootId,
    kernelRelease: record.kernelRelease,
    pid,
    cloned: record.cloned,
    imageDigest: record.imageDigest,
    createdAt: record.createdAt,
    startedAt: record.startedAt,
    readyMs: record.readyMs,
    restarts: machine.restarts,
    exit: machine.exit,
    restartAt: record.restartAt,
  };
}
