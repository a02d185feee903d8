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
