/** What the routes need; the daemon provides it. */
import type { ChannelManager } from '../channel/index.ts';
import type { EventLog } from '../daemon/events.ts';
import type { Resources } from '../daemon/resources.ts';
import type { Stacks } from '../daemon/stacks.ts';
import type { Supervisor } from '../daemon/supervisor.ts';
import type { Telemetry } from '../daemon/telemetry.ts';
import type { ServiceManager } from '../service/index.ts';
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
