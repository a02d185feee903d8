/** The pool, or an instance, as the multikernel patches have it: the device tree that a kernel would be given for it. Pure. */

import { decode, printDts } from '../../devicetree/index.ts';
import { baselineTree, overlays, type PoolDevice } from '../../devicetree/multikernel/index.ts';
import type { PoolReport } from '../../pool/contract.ts';
import { formatCpuList } from '../../sys/cpu-list.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { Topology } from '../../topology/topology.ts';

/** Throws `unsupported` where the machine does not say by which ids CPUs are named. */
export function poolDts({ pool, apicIds }: PoolReport, { pci }: Pick<Topology, 'pci'>): string {
  const devices = pool.devices.flatMap((address): PoolDevice[] => {
    const found = pci.find((each) => each.address === address);
    return found === undefined ? [] : [{ kind: 'pci', address, vendor: found.vendor, device: found.device }];
  });
  return printDts(baselineTree({ cpus: physical(pool.cpus, apicIds), memory: pool.memory, devices }));
}

/** The overlay that makes it, without what needs a second one. Throws as above, `not-found` and `unsupported` for one that has no CPUs of its own. */
export function instanceDts({ partitions, apicIds }: PoolReport, name: string): string {
  const partition = partitions[name];
  if (partition === undefined)
    throw new PolykernelError('not-found', `${name} owns nothing of the pool`, {
      field: 'name',
      value: name,
      hint: 'Who owns what of it: pk pool show',
    });
  if (partition.shared !== null)
    throw new PolykernelError('unsupported', `${name} has a part of shared CPUs, which such a kernel cannot have`, {
      field: 'name',
      value: name,
      hint: 'Only CPUs of its own can be written so: `pk pool dump` without --dts has the others too.',
    });
  const memoryBytes = partition.memory.reduce((sum, { bytes }) => sum + bytes, 0);
  const [first, ...others] = partition.memory;
  const node = first !== undefined && others.length === 0 ? first.node : undefined;
  const creation = { target: 'create', name, cpus: physical(partition.cpus, apicIds), memoryBytes, node } as const;
  return overlays([creation])
    .map((blob) => printDts(decode(blob)))
    .join('\n');
}

function physical(cpus: readonly number[], apicIds: PoolReport['apicIds']): number[] {
  const ids = new Map(apicIds.map(({ id, apicId }) => [id, apicId]));
  const unnamed = cpus.filter((cpu) => !ids.has(cpu));
  if (unnamed.length === 0) return cpus.map((cpu) => ids.get(cpu)!);
  throw new PolykernelError(
    'unsupported',
    `the machine does not say by which ids CPUs ${formatCpuList(unnamed)} are named`,
    {
      field: 'pool.cpus',
      hint: 'Only online CPUs of x86 have APIC ids in /proc/cpuinfo. Without --dts they are named by number.',
    },
  );
}
