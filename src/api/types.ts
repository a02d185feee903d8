/** The API's shapes, shared with the client as types only. docs/api.md describes the routes. */
export type { ChannelEnd, ChannelRequest, ChannelStatus } from '../channel/contract.ts';
export type { DaemonEvent } from '../core/events.ts';
export type { ProgressLine } from '../core/progress.ts';
export type { VersionInfo } from '../daemon/contract.ts';
export type { DoctorCheck, DoctorReport } from '../doctor/contract.ts';
export type { DriverFacts as DriverReport } from '../driver/index.ts';
export type { ImageInfo, ImportRequest } from '../image/contract.ts';
export type {
  CreateRequest,
  ExecRequest,
  InstanceDetails,
  InstanceExit,
  InstanceSpec,
  InstanceState,
  InstanceStatus,
  LogLine,
  LogQuery,
  PrewarmRequest,
  StreamCommand,
  StreamExit,
  StreamNotice,
} from '../instance/contract.ts';
export type { MachineReport, PoolReport, PoolRequest } from '../pool/contract.ts';
export type {
  LatencySummary,
  ObjectiveStatus,
  ServiceRequest,
  ServiceStatus,
  TargetChange,
  TargetRequest,
  TargetStatus,
} from '../service/contract.ts';
export type { Plan, StackSource } from '../stack/contract.ts';
export type { InstanceStats, StatsSeries } from '../telemetry/contract.ts';
