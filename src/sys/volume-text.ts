/** A volume as people write it: SOURCE:TARGET[:MODE]. */
export interface VolumeText {
  source: string;
  target: string;
  readOnly: boolean;
  maySetId?: true;
}

/** undefined when `text` is something else. MODE: `rw` (also when there is none), `ro`, or `suid`. */
export function parseVolume(text: string): VolumeText | undefined {
  const [, source, target, mode] = /^([^:]+):(\/[^:]*)(?::(ro|rw|suid))?$/.exec(text) ?? [];
  if (source === undefined || target === undefined) return undefined;
  return { source, target, readOnly: mode === 'ro', ...(mode === 'suid' ? { maySetId: true } : {}) };
}
