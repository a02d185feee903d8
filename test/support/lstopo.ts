/** The oracle: what hwloc's lstopo counts of a machine. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { toolPath } from '../../src/sys/tools.ts';
import type { Summary } from '../../src/topology/topology.ts';

/** Counts the objects that `lstopo --no-io` shows of the machine below `root`. */
export async function lstopoSummary(root: string): Promise<Summary> {
  const tool = toolPath('lstopo-no-graphics');
  const input = root === '/' ? [] : ['-i', root, '--if', 'fsroot'];
  const { stdout } = await promisify(execFile)(tool.path, [...input, '--of', 'xml', '--no-io'], {
    env: { ...process.env, ...tool.env },
    maxBuffer: 64 * 1024 * 1024,
  });
  const count = (type: string) => stdout.split(`<object type="${type}"`).length - 1;
  const memory = [...stdout.matchAll(/<object type="NUMANode"[^>]* local_memory="(\d+)"/g)];
  return {
    packages: count('Package'),
    cores: count('Core'),
    cpus: count('PU'),
    numaNodes: count('NUMANode'),
    caches: { l1d: count('L1Cache'), l1i: count('L1iCache'), l2: count('L2Cache'), l3: count('L3Cache') },
    memoryBytes: memory.reduce((sum, match) => sum + Number(match[1]), 0),
  };
}
