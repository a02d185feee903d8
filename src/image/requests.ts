/** What is asked and answered of kernel images. */
import { request, type Value } from '../core/schema.ts';
import type { ImageKind } from './image.ts';

export interface ImageInfo {
  name: string;
  /** The same as KernelImage.digest. */
  digest: string;
  kind: ImageKind;
  /** `uname -r`. */
  version: string;
  /** Bytes of kernel and modules together. */
  sizeBytes: number;
  /** Where it came from. */
  source: string;
  /** ISO 8601 UTC. */
  createdAt: string;
}

const name = { type: 'string', minLength: 1, maxLength: 200 } as const;
const path = {
  type: 'string',
  pattern: '^/[^\\0]*$',
  maxLength: 4096,
  'x-hint': 'Give an absolute path of this machine.',
} as const;

export const pullRequest = request({ name }, 'name');

export const importRequest = request(
  {
    name,
    kernel: { ...path, description: 'Absolute path of a vmlinuz, vmlinux or linux.uml' },
    modules: { ...path, description: 'Absolute path of a directory with lib/modules/VERSION or of VERSION itself' },
  },
  'name',
  'kernel',
);
export type ImportRequest = Value<typeof importRequest>;

type Progress = (text: string) => void;

/** The image store as the API uses it. */
export interface Images {
  list(): Promise<ImageInfo[]>;
  pull(name: string, progress: Progress, signal: AbortSignal): Promise<ImageInfo>;
  import(request: ImportRequest, progress: Progress, signal: AbortSignal): Promise<ImageInfo>;
  remove(name: string, users: (name: string) => readonly string[]): Promise<void>;
}
