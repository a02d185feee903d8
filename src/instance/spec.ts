/** What an instance is: what was asked for, and what has become of it. These types are what the API answers. */
import type { Volume } from '../driver/index.ts';
import type { Partition, PartitionRequest } from '../ledger/index.ts';
import type { ChannelUse } from './channel-use.ts';
import type { FieldSpec } from './fields.ts';

/** What a person asks for. Sizes in bytes, durations in milliseconds, paths absolute host paths. */
export interface InstanceSpec extends Omit<FieldSpec, 'restart'> {
  restart: RestartPolicy;
  /** [a-z0-9] and inner dashes, at most 63 characters; unique. */
  name: string;
  /** argv of the workload; never empty. */
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Working directory in the guest. */
  cwd: string;
  /** Where that cannot be entered, / will do. */
  cwdOptional: boolean;
  /** USER[:GROUP] in the guest: numbers, or names in its own passwd and group. */
  user: string;
  /** `auto` is resolved at create time; `driverReason` says why. */
  driver: string;
  driverReason: string;
  cpus: number;
  memoryBytes: number;
  /** Within which its size may change while it runs; null = it stays as it is. */
  elastic: Elastic | null;
  /** `host`, or an absolute path of a directory, tar, squashfs or ext4 file. */
  root: string;
  volumes: readonly Volume[];
  /** Foreground: the workload starts when a client attaches, and the instance is removed when it ends or the client goes. */
  attached: boolean;
  /** Removed once it has ended, however it did. */
  autoRemove: boolean;
  /** The workload gets a pseudo-terminal. */
  tty: boolean;
  /** Its standard error is its standard output: for a client whose own two are one file. */
  merged: boolean;
  rows: number;
  columns: number;
  /** What it asks of the pool; null = it owns nothing and runs on the housekeeping CPUs. */
  partition: PartitionRequest | null;
  /** The stack that described it; null = it was created by itself. */
  stack: string | null;
  /** Ports of the host that lead to it. */
  publish: readonly PublishedPort[];
  /** Channels at whose end it is. */
  channels: readonly ChannelUse[];
}

export interface Bounds {
  min: number;
  max: number;
}

/** null = that does not change. */
export interface Elastic {
  cpus: Bounds | null;
  memoryBytes: Bounds | null;
}

/** What an instance has: CPUs, which may be a part of shared ones, and memory. */
export interface Size {
  cpus: number;
  memoryBytes: number;
}

export interface PublishedPort {
  /** Address of the host that is listened on, IPv4 or IPv6. */
  hostAddress: string;
  /** 0 only until it is chosen, before the instance is there. */
  hostPort: number;
  guestPort: number;
  protocol: 'tcp' | 'udp';
}

export type RestartPolicy = 'no' | 'on-failure' | 'always' | 'unless-stopped' | `on-failure:${number}`;

/**
 * created: never started. starting: kernel is booting. running. paused. stopping. exited: the workload or kernel ended,
 * and no restart is due. backoff: waits to be restarted. stuck: its kernel was ended, and is not proven to be gone.
 */
export type InstanceState = 'created' | 'starting' | 'running' | 'paused' | 'stopping' | 'stuck' | 'exited' | 'backoff';

/** Of what it is healed beside its policy, each with those before it: a kernel that is lost, hung, or whose check fails. */
export type HealScope = InstanceSpec['heal'];

/** How the last run ended. */
export interface InstanceExit {
  /** `exit`: workload's own code. `signal`. `panic`/`died`: the kernel. `not-ready`, `failed`: never got going. `hung`/`unhealthy`: ended to be healed. `stopped`/`killed`: on request. */
  reason: 'exit' | 'signal' | 'panic' | 'died' | 'not-ready' | 'failed' | 'hung' | 'unhealthy' | 'stopped' | 'killed';
  /** What `pk run` ends with. */
  exitCode: number;
  message: string;
  /** What to do about it, where somebody knows. */
  hint?: string;
  at: string;
}

/** What is. Timestamps ISO 8601 UTC. */
export interface InstanceStatus {
  id: string;
  spec: InstanceSpec;
  /** What it has now, or begins with at its next start. */
  size: Size;
  state: InstanceState;
  /** Its kernel runs, an earlier daemon's, and has not answered this one yet. */
  takingOver: boolean;
  /** Bytes-per-boot identity inside the guest; null until ready. */
  bootId: string | null;
  kernelRelease: string | null;
  pid: number | null;
  cloned: boolean | null;
  imageDigest: string | null;
  createdAt: string;
  startedAt: string | null;
  /** Spawn to ready of the last start, in ms. */
  readyMs: number | null;
  /** Where the workload began; null until it runs. */
  workingDirectory: string | null;
  restarts: number;
  exit: InstanceExit | null;
  /** When the next restart is due, in backoff. */
  restartAt: string | null;
  /** What it owns, from its creation to its removal; null for an unpartitioned one. */
  placement: Placement | null;
  /** IPv4 address in the private network; null without one. */
  address: string | null;
}

/** Where the ledger put an instance. */
export interface Placement {
  partition: Partition;
  /** Host CPU of each vCPU, in vCPU order. */
  vcpuCpus: readonly number[];
  /** Why there, one sentence each. */
  reasons: readonly string[];
}

/** What would become of a request. */
export type InstanceTrial = Pick<InstanceStatus, 'spec' | 'placement'>;
