/** The figures of the cache, in the words of PCSC, and the kernel's own beside them. */
import { type ConfigSpace, readHostCache } from '../../pci/index.ts';
import type { Invocation } from '../kit/command.ts';
import { answer } from '../kit/output.ts';

export function showStatistics(invocation: Invocation, place: ConfigSpace): Promise<0> {
  const statistics = place.statistics();
  const stored = place.stored();
  const host = readHostCache(invocation.value('root')) ?? null;
  const found = { ...statistics, functions: stored.size, boundMs: place.boundMs, host };
  return answer(invocation, found, () => {
    const share = statistics.totalReads === 0 ? 0 : (100 * statistics.hits) / statistics.totalReads;
    const us = (milliseconds: number) => `${(1000 * milliseconds).toFixed(0)} us`;
    const rows: [string, string | number][] = [
      ['Cache Hits', statistics.hits],
      ['Cache Misses', statistics.misses],
      ['Uncachable Reads', statistics.uncachableReads],
      ['Writes', statistics.writes],
      ['Cache Invalidations', statistics.invalidations],
      ['Device Resets', statistics.resets],
      ['Total Reads', statistics.totalReads],
      ['Hardware Reads', statistics.hardwareReads],
      ['Hardware Reads of constants', statistics.constantReads],
      ['Hit Rate', `${share.toFixed(1)} %`],
      ['Total Cache Access Time', us(statistics.readMs)],
      ['HW time due to misses', us(statistics.missMs)],
      ['Total HW time', us(statistics.hardwareMs)],
      ['Restored functions', statistics.restored],
      ['Remembered functions', stored.size],
      ['Remembered bytes', [...stored.values()].reduce((sum, bytes) => sum + bytes, 0)],
      ['Bound on what others write', `${place.boundMs} ms`],
    ];
    const kernel: [string, string][] =
      host === null
        ? [['Kernel cache (PCSC)', 'none in this kernel']]
        : [['Kernel cache (PCSC)', host.enabled ? 'on' : 'off'], ...Object.entries(host.statistics)];
    return [...rows, ...kernel].map(([name, value]) => `${`${name}:`.padEnd(30)}${value}\n`).join('');
  });
}
