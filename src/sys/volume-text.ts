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

/** Of docker and podman, about labels of SELinux and when writes are seen: a guest has none of the first, and sees them at once. */
const MEANS_NOTHING = /^(z|Z|cached|delegated|consistent)$/;

/**
 * undefined when `text` is something else. MODE: `rw` (also when there is none), `ro`, or `suid`; words that mean nothing here may stand
 * beside it, behind commas.
 */
export function parseVolume(text: string): VolumeText | undefined {
  const [, source, target, words] = /^([^:]+):(\/[^:]*)(?::([a-zA-Z,]+))?$/.exec(text) ?? [];
  if (source === undefined || target === undefined) return undefined;
  const [mode = 'rw', ...more] = words?.split(',').filter((word) => !MEANS_NOTHING.test(word)) ?? [];
  if (more.length > 0 || !/^(ro|rw|suid)$/.test(mode)) return undefined;
  return { source, target, readOnly: mode === 'ro', ...(mode === 'suid' ? { maySetId: true } : {}) };
}
