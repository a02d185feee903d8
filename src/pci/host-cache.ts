/** The kernel's own cache, where the host has one (PCSC): shown beside ours, and never switched, which can leave it stale. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface HostCache {
  enabled: boolean;
  /** Its figures by its own words. */
  statistics: Record<string, string>;
}

/** Undefined when the kernel of the machine below `root` has none. */
export function readHostCache(root = '/'): HostCache | undefined {
  const file = (name: string) => readFileSync(join(root, 'sys/bus/pci/pcsc', name), 'utf8').slice(0, 65_536);
  try {
    const enabled = file('enabled').trim() === '1';
    let text = '';
    try {
      // Built without statistics it has no such file.
      text = file('stats');
    } catch {}
    const lines = text.matchAll(/^\s*([^:\n]{1,80}?)\s*:\s*(\S.{0,80}?)\s*$/gm);
    return { enabled, statistics: Object.fromEntries([...lines].map(([, name, value]) => [name!, value!])) };
  } catch {
    return undefined;
  }
}
