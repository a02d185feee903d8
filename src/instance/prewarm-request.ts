import type { DriverName } from '../driver/index.ts';

export interface PrewarmRequest {
  /** Image name; the driver's default when absent. */
  name?: string;
  driver?: DriverName | 'auto';
  cpus?: number;
  memoryBytes?: number;
}
