/** Where the root file system's lower layer comes from. Paths are absolute host paths. */
export type RootSource =
  /** The machine's own files. mapped: seen with root's eyes and true owners; else as everybody sees them. */
  | { kind: 'host'; mapped?: boolean }
  | ({ kind: 'directory' } & Source)
  | ({ kind: 'squashfs' } & Source)
  | ({ kind: 'ext4' } & Source);

/** A path without symbolic links, and what it stood for when somebody gave it; then nothing else may be there. */
export interface Source {
  path: string;
  uid?: number;
  /** Decimal. */
  inode?: string;
}
