/** The API's shapes, shared with the client as types only. docs/api.md describes the routes. */
import type { Availability, Capabilities, DriverName, RealPlacement } from '../driver/index.ts';
import type { InstanceStatus } from '../instance/index.ts';
import type { Free, Ledger, Pool } from '../ledger/index.ts';
import type { ErrorBody } from '../sys/errors.ts';
import type { Topology } from '../topology/index.ts';

export type { ChannelEnd, ChannelRequest, ChannelStatus } from '../channel/index.ts';
export type {
  CreateRequest,
  InstanceEvent,
  InstanceExit,
  InstanceSpec,
  InstanceState,
  InstanceStatus,
} from '../instance/index.ts';

export type { PoolRequest } from '../ledger/index.ts';
export type {
  LatencySummary,
  ObjectiveStatus,
  ServiceRequest,
  ServiceStatus,
  TargetChange,
  TargetRequest,
  TargetStatus,
} from '../service/index.ts';
export type { Plan } from '../stack/index.ts';
export type { InstanceStats, StatsSeries } from '../telemetry/index.ts';

/** The machine and who owns what of it. */
export interface MachineReport {
  topology: Topology;
  ledger: Ledger;
}

export interface PoolReport {
  pool: Pool;
  /** By owner. */
  partitions: Ledger['partitions'];
  free: Free;
  housekeepingCpus: readonly number[];
  /** What the host kernel really does for it now, read back; one sentence each. */
  enforced: string[];
  /** What it does not, and why. */
  notes: string[];
}

/** A stack file as sent: the daemon parses it itself. */
export interface StackSource {
  text: string;
  /** Its name, for messages. */
  file: string;
  /** Absolute directory that relative paths in it are below. */
  directory: string;
  /** Name of the stack where the file gives none. */
  defaultName: string;
}

export interface VersionInfo {
  version: string;
  apiVersion: 1;
  pid: number;
  /** ISO 8601 UTC. */
  startedAt: string;
  home: string;
}

export interface DoctorCheck {
  id: string;
  status: 'ok' | 'warn' | 'missing';
  summary: string;
  /** How to get what is missing, as a full sentence. */
  hint?: string;
}

export interface DriverReport {
  name: DriverName;
  availability: Availability;
  capabilities: Capabilities;
}

export interface DoctorReport {
  checks: DoctorCheck[];
  drivers: DriverReport[];
  /** What `--driver auto` picks for one CPU, and why. */
  auto: { driver: DriverName | null; reason: string };
}

export interface InstanceDetails extends InstanceStatus {
  /** Where its kernel really is, read from the host kernel; beside `placement`. null when none runs. */
  real: RealPlacement | null;
  capabilities: Capabilities | null;
  /** Absolute host paths. */
  paths: { directory: string; consoleLog: string; log: string };
}

/** One piece of output, as it came. `d` is its text, or `b` its bytes in base64 when they are not valid UTF-8. */
export interface LogLine {
  /** ISO 8601 UTC with milliseconds; empty for the console, which keeps no times. */
  t: string;
  s: 'out' | 'err';
  d?: string;
  b?: string;
}

export interface LogQuery {
  follow?: boolean;
  /** Only the last N records. */
  tail?: number;
  /** Only records at or after this ISO 8601 time. */
  since?: string;
  source?: 'workload' | 'console';
}

export interface ExecRequest {
  command: readonly string[];
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  user?: string;
  tty?: boolean;
  rows?: number;
  columns?: number;
}

export interface ImageInfo {
  name: string;
  digest: string;
  kind: 'uml' | 'x86_64';
  /** `uname -r`. */
  version: string;
  /** Bytes of kernel and modules together. */
  sizeBytes: number;
  /** Where it came from. */
  source: string;
  /** ISO 8601 UTC. */
  createdAt: string;
}

export interface ImportRequest {
  name: string;
  /** Absolute path of a vmlinuz, vmlinux or linux.uml. */
  kernel: string;
  /** Absolute path of a directory with lib/modules/VERSION or of VERSION itself. */
  modules?: string;
}

export interface PrewarmRequest {
  /** Image name; the driver's default when absent. */
  name?: string;
  driver?: DriverName | 'auto';
  cpus?: number;
  memoryBytes?: number;
}

/** Client to server on a stream, as JSON text. */
export type StreamCommand = { signal: number } | { resize: { rows: number; columns: number } };

/** Server to client on a stream, as JSON text. After `exited` or `error` the server closes with 1000. */
export type StreamNotice =
  | { phase: string }
  /** `isElsewhere`: it began in /, because it could not enter a directory that was only wished for. */
  | { started: { pid: number; isElsewhere: boolean } }
  | { exited: StreamExit }
  | { error: ErrorBody };

export interface StreamExit {
  reason: string;
  /** What `pk run` and `pk exec` end with. */
  exitCode: number;
  message: string;
}

/** The lines of a long answer (pull, import, prewarm). */
export type ProgressLine<Done> = { progress: string } | { done: Done } | { error: ErrorBody };
