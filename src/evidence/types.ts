/** What is known of an instance at one moment, for who finds out later what was wrong with it. */
import type { DaemonEvent } from '../core/events.ts';
import type { Healing } from '../heal/contract.ts';
import type { HealthStatus } from '../health/contract.ts';
import type { InstanceStatus } from '../instance/contract.ts';
import type { InstanceStats } from '../telemetry/contract.ts';

export interface Evidence {
  format: 'polykernel-core';
  version: 1;
  /** ISO 8601 UTC. */
  at: string;
  /** Values of its environment are hidden. */
  status: InstanceStatus;
  health: HealthStatus;
  healings: Healing[];
  /** The last numbers; null = none came. */
  stats: InstanceStats | null;
  /** What happened to it, as far as the daemon still knows. */
  events: DaemonEvent[];
  /** Of each vCPU, as the VMM has them; null where nothing runs, or the driver gives none. */
  registers: string | null;
  /** Why there are none; empty otherwise. */
  noRegisters: string;
  /** What a copy of its memory takes at most; null where none can be had. */
  memory: { mostBytes: number } | null;
}

/** The copy of its memory that was kept beside. */
export interface KeptMemory {
  /** Beside the core. */
  file: string;
  bytes: number;
  /** From the first to the last byte: so long it stood still, at least. */
  tookMs: number;
}

/** As it is saved: with the end of its console. */
export interface Core extends Evidence {
  console: string[];
  /** null or missing = none was asked for. */
  memoryKept?: KeptMemory | null;
}
