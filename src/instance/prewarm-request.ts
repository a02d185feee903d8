export interface PrewarmRequest {
  /** Image name; the driver's default when absent. */
  name?: string;
  driver?: string;
  cpus?: number;
  memoryBytes?: number;
}
