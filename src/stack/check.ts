/** What no single value shows: contradictions between options, as far as the file alone tells. */
import { formatCpuList } from '../sys/cpu-list.ts';
import type { Stack } from './stack.ts';
import type { YamlReader } from './yaml-reader.ts';

export function checkTogether({ pool, kernels }: Stack, reader: YamlReader): void {
  const dedicated = new Set(pool?.cpus);
  if (pool !== null) {
    const stray = pool.sharedCpus.filter((cpu) => !dedicated.has(cpu));
    if (stray.length > 0) {
      reader.problemAt(
        'pool.shared',
        `${they(stray)} not among the pool's CPUs, ${formatCpuList(pool.cpus)}`,
        'Add them to pool.cpus as well.',
      );
    }
    for (const cpu of pool.sharedCpus) dedicated.delete(cpu);
    twice(pool.devices).forEach((device) => void reader.problemAt('pool.devices', `${device} is given twice`));
  }
  const cpuOwner = new Map<number, string>();
  const deviceOwner = new Map<string, string>();
  for (const { name, partition } of kernels) {
    if (partition === null) continue;
    const { cpus, devices } = partition;
    const path = `kernels.${name}.partition`;
    if (cpus.kind === 'exact') {
      const outside = pool === null ? [] : cpus.cpus.filter((cpu) => !dedicated.has(cpu));
      if (outside.length > 0) {
        reader.problemAt(
          `${path}.cpus`,
          `${they(outside)} not among the pool's dedicated CPUs`,
          `Choose from ${formatCpuList([...dedicated]) || 'none: all are shared'}.`,
        );
      }
      const taken = cpus.cpus.filter((cpu) => cpuOwner.has(cpu));
      if (taken.length > 0) {
        reader.problemAt(
          `${path}.cpus`,
          `${they(taken)} asked for by ${cpuOwner.get(taken[0]!)} already`,
          'Give every kernel CPUs of its own.',
        );
      }
      for (const cpu of cpus.cpus) cpuOwner.set(cpu, name);
    }
    if (cpus.kind === 'shared' && pool !== null && pool.sharedCpus.length === 0) {
      reader.problemAt(
        `${path}.cpus`,
        'asks for a part of shared CPUs, and the pool has none',
        'Name some of its CPUs in pool.shared.',
      );
    }
    for (const [index, device] of devices.entries()) {
      if (device.kind !== 'address') continue;
      const { address } = device;
      const at = `${path}.devices[${index}]`;
      const owner = deviceOwner.get(address);
      if (owner !== undefined) reader.problemAt(at, `${address} is asked for by ${owner} already`);
      else if (pool !== null && !pool.devices.includes(address))
        reader.problemAt(at, `${address} is not in the pool`, 'Add it to pool.devices.');
      deviceOwner.set(address, name);
    }
  }
}

const they = (cpus: readonly number[]): string =>
  cpus.length === 1 ? `CPU ${cpus[0]} is` : `CPUs ${formatCpuList(cpus)} are`;
const twice = (texts: readonly string[]): string[] => texts.filter((text, index) => texts.indexOf(text) < index);
