/** What the routes need; the daemon provides it. */
import type { ChannelManager } from '../channel/contract.ts';
import type { EventLog } from '../core/events.ts';
import type { Supervisor } from '../instance/supervisor.ts';
import type { Resources } from '../pool/resources.ts';
import type { ServiceManager } from '../service/contract.ts';
import type { Stacks } from '../stack/apply.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { DoctorReport, ImageInfo, ImportRequest, VersionInfo } from './types.ts';

export interface ApiContext {
  supervisor: Supervisor;
  resources: Resources;
  stacks: Stacks;
  channels: ChannelManager;
  telemetry: Pick<Telemetry, 'stats' | 'series' | 'metrics'>;
  services: ServiceManager;
  events: EventLog;
  images: Images;
  version(): VersionInfo;
  doctor(): Promise<DoctorReport>;
  /** Ends the daemon after the answer. */
  shutdown(): void;
  /** Aborted when the daemon ends: open streams end with it. */
  ending: AbortSignal;
  /** For faults of the daemon itself. */
  complain(text: string, error: unknown): void;
}

type Progress = (text: string) => void;

/** The image store as the API uses it. */
export interface Images {
  list(): Promise<ImageInfo[]>;
  pull(name: string, progress: Progress, signal: AbortSignal): Promise<ImageInfo>;
  import(request: ImportRequest, progress: Progress, signal: AbortSignal): Promise<ImageInfo>;
  remove(name: string, users: (name: string) => readonly string[]): Promise<void>;
}
