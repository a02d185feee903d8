export interface VersionInfo {
  version: string;
  apiVersion: 1;
  pid: number;
  /** ISO 8601 UTC. */
  startedAt: string;
  home: string;
}
