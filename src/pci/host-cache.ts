/** The kernel's own cache, where the host has one (PCSC): shown beside ours, and never switched, which can leave it stale. */
import { join } from 'node:path';
import { readAttribute } from './attribute.ts';

const MOST_NAME = 80;
const MOST_VALUE = 81;

export interface HostCache {
  enabled: boolean;
  /** Its figures by its own words. */
  statistics: Record<string, string>;
}

/** Undefined when the kernel of the machine below `root` has none. */
export function readHostCache(root = '/'): HostCache | undefined {
  const file = (name: string) => readAttribute(join(root, 'sys/bus/pci/pcsc', name), 4096);
  const enabled = file('enabled');
  if (enabled === undefined) return undefined;
  // Built without statistics it has no such file.
  return {
    enabled: enabled === '1',
    statistics: Object.fromEntries((file('stats') ?? '').split('\n').flatMap(figure)),
  };
}

function figure(line: string): [string, string][] {
  const colon = line.indexOf(':');
  const [name, value] = [line.slice(0, Math.max(0, colon)).trim(), line.slice(colon + 1).trim()];
  return name === '' || value === '' || name.length > MOST_NAME || value.length > MOST_VALUE ? [] : [[name, value]];
}
