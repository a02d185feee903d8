/** Finds contradictions between the options of a stack file, as far as the file alone tells. */

import type { YamlReader } from '../core/yaml-reader.ts';
import { functionsOf, type KernelDefinition } from '../instance/contract.ts';
import { formatCpuList } from '../sys/cpu-list.ts';
import { checkSections } from './sections.ts';
import type { Stack } from './stack.ts';

type Pool = NonNullable<Stack['pool']>;

/** Adds what it finds to the reader's problems. */
export function checkTogether(stack: Stack, reader: YamlReader): void {
  const { pool, kernels } = stack;
  if (pool !== null) checkPool(pool, reader);
  checkCpus(kernels, pool, reader);
  checkDevices(kernels, pool, reader);
  checkSections(reader, stack, kernels);
}

function checkPool({ cpus, sharedCpus, devices }: Pool, reader: YamlReader): void {
  const all = new Set(cpus);
  const stray = sharedCpus.filter((cpu) => !all.has(cpu));
  if (stray.length > 0) {
    const hint = 'Add them to pool.cpus as well.';
    reader.problemAt('pool.shared', `${they(stray)} not among the pool's CPUs, ${formatCpuList(cpus)}`, hint);
  }
  const seen = new Set<string>();
  for (const [index, device] of devices.entries()) {
    if (seen.has(device))
      reader.problemAt(`pool.devices[${index}]`, `${device} is given twice`, 'Leave one of them out.');
    seen.add(device);
  }
}

function checkCpus(kernels: readonly KernelDefinition[], pool: Pool | null, reader: YamlReader): void {
  const dedicated = new Set(pool?.cpus);
  for (const cpu of pool?.sharedCpus ?? []) dedicated.delete(cpu);
  const owners = new Map<number, string>();
  for (const { name, entry, partition } of kernels) {
    const path = `kernels.${entry}.partition.cpus`;
    if (partition?.cpus.kind === 'shared' && pool?.sharedCpus.length === 0) {
      const hint = 'Name some of its CPUs in pool.shared.';
      reader.problemAt(path, 'asks for a part of shared CPUs, and the pool has none', hint);
    }
    if (partition?.cpus.kind !== 'exact') continue;
    const { cpus } = partition.cpus;
    const outside = pool === null ? [] : cpus.filter((cpu) => !dedicated.has(cpu));
    if (outside.length > 0) {
      const choice = formatCpuList([...dedicated]);
      const hint = choice === '' ? 'All CPUs of the pool are shared: ask for {shared: 1}.' : `Choose from ${choice}.`;
      reader.problemAt(path, `${they(outside)} not among the pool's dedicated CPUs`, hint);
    }
    const taken = Map.groupBy(cpus, (cpu) => owners.get(cpu));
    for (const [owner, some] of taken) {
      if (owner === undefined) continue;
      reader.problemAt(path, `${they(some)} asked for by ${owner} already`, 'Give every kernel CPUs of its own.');
    }
    for (const cpu of taken.get(undefined) ?? []) owners.set(cpu, name);
  }
}

function checkDevices(kernels: readonly KernelDefinition[], pool: Pool | null, reader: YamlReader): void {
  const given = new Set(pool?.devices);
  const owners = new Map<string, string>();
  for (const { name, entry, create, partition } of kernels) {
    const owned = (partition?.devices ?? []).flatMap((device, index) =>
      device.kind === 'address' ? [{ field: `partition.devices[${index}]`, address: device.address }] : [],
    );
    const leased = functionsOf(create);
    for (const { field, address } of [...owned, ...leased]) {
      const path = `kernels.${entry}.${field}`;
      const owner = owners.get(address);
      if (owner !== undefined) {
        const hint = 'A function has one owner; leave one out.';
        reader.problemAt(path, `${address} is asked for by ${owner} already`, hint);
      } else if (pool !== null && field.startsWith('partition') !== given.has(address)) {
        const [what, hint] = given.has(address)
          ? ["is the pool's", 'Own it by partition.devices, or leave it out of pool.devices.']
          : ['is not in the pool', 'Add it to pool.devices.'];
        reader.problemAt(path, `${address} ${what}`, hint);
      }
      owners.set(address, owner ?? name);
    }
  }
}

const they = (cpus: readonly number[]): string =>
  cpus.length === 1 ? `CPU ${cpus[0]} is` : `CPUs ${formatCpuList(cpus)} are`;
