import type { Capabilities, RealPlacement } from '../driver/index.ts';
import type { InstanceStatus } from './spec.ts';

export interface InstanceDetails extends InstanceStatus {
  /** Where its kernel really is, read from the host kernel; beside `placement`. null when none runs. */
  real: RealPlacement | null;
  capabilities: Capabilities | null;
  /** Absolute host paths. */
  paths: { directory: string; consoleLog: string; log: string };
}
