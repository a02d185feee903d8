import type { Capabilities, RealPlacement } from '../driver/index.ts';
import type { InstanceStatus } from './spec.ts';

export interface InstanceDetails extends InstanceStatus {
  /** How firmware names the CPUs of its placement; those that have no such id are not among them. */
  apicIds: readonly { id: number; apicId: number }[];
  /** Where its kernel really is, read from the host kernel; beside `placement`. null when none runs. */
  real: RealPlacement | null;
  capabilities: Capabilities | null;
  /** Absolute host paths. */
  paths: { directory: string; consoleLog: string; log: string };
}
