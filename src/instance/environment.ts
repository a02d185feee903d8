/** What an instance needs of the daemon: its driver, its launch directory, and whom to tell. */
import type { Driver, Kernel, LaunchSpec, SharedRegion } from '../driver/index.ts';
import type { Clock } from '../sys/clock.ts';
import type { InstanceEventType } from './events.ts';
import type { WorkloadLog } from './output.ts';
import type { InstanceRecord } from './record.ts';

export interface InstanceEnvironment {
  clock: Clock;
  driver: Driver;
  log: WorkloadLog;
  /**
   * Makes the launch directory anew and gives all a driver needs, and what of it is kept in the record. `hold` gets an open
   * descriptor, LaunchSpec's `rootLease`, which the caller closes.
   */
  prepareLaunch(
    record: InstanceRecord,
    signal: AbortSignal,
    progress: (text: string) => void,
    hold: (lease: number) => void,
  ): Promise<{ launch: LaunchSpec; kept: Pick<InstanceRecord, 'identity' | 'sources'> }>;
  /** A kernel is ready, started with `regions` of shared memory or found again. */
  kernelUp(kernel: Kernel, regions: readonly SharedRegion[], adopted: boolean): void;
  /** Time goes on for a kernel that was paused. Resolves when what has to know of it does; never rejects. */
  resumed(kernel: Kernel): Promise<void>;
  /** Ends whatever a launch left running, without asking its guest. */
  destroy(launch: LaunchSpec): Promise<void>;
  /** Keeps the record; never throws. */
  save(record: InstanceRecord): void;
  /** It waits for its restart, and the time for that has come. */
  restartDue(): void;
  tell(type: InstanceEventType, record: InstanceRecord, message: string): void;
  /** For the daemon's own log. */
  complain(text: string, error: unknown): void;
}
