import { join } from 'node:path';

/** A volume as people write it: SOURCE:TARGET[:MODE]. */
export interface VolumeText {
  source: string;
  target: string;
  readOnly: boolean;
  maySetId?: true;
}

/**
 * Whether what a guest has at `path` is a volume's: its content is then the host's, and not ours to change. Absolute paths; links
 * in the guest's root are not known.
 */
export const isOnVolume = (volumes: readonly { target: string }[], path: string): boolean =>
  volumes.some(({ target }) => `${path}/`.startsWith(join(target, '/')));

/** undefined when `text` is something else. MODE: `rw` (also when there is none), `ro`, or `suid`. */
export function parseVolume(text: string): VolumeText | undefined {
  const [, source, target, mode] = /^([^:]+):(\/[^:]*)(?::(ro|rw|suid))?$/.exec(text) ?? [];
  if (source === undefined || target === undefined) return undefined;
  return { source, target, readOnly: mode === 'ro', ...(mode === 'suid' ? { maySetId: true } : {}) };
}
