/** Where the kernel of an instance is to run on the host, and whether it does. */
import type { HostPlacement, RealPlacement } from '../driver/index.ts';
import { cpusText } from '../sys/cpu-list.ts';
import type { InstanceRecord } from './record.ts';
import { machineSize, sizeOf } from './size.ts';
import type { InstanceSpec, Placement } from './spec.ts';

/** What a driver is told of the placement; undefined without a partition, and for one that owns no CPU. */
export function hostPlacement({
  placement,
  spec,
  size,
}: Pick<InstanceRecord, 'placement' | 'spec' | 'size'>): HostPlacement | undefined {
  if (placement === null || placement.vcpuCpus.length === 0) return undefined;
  const { partition } = placement;
  const { memory, hugePageBytes, shared } = partition;
  // What is its own and what it has are changed one after the other: it may use no more than either.
  const part = shared && Math.min(shared.milliCpus / 1000, sizeOf({ spec, size }).cpus);
  return {
    vcpuCpus: vcpusOfMachine(spec, placement),
    memory,
    hugePageBytes,
    weight: shared && Math.min(10_000, Math.max(1, Math.round(shared.weight * part!))),
    mostCpus: spec.elastic?.cpus ? part : null,
  };
}

/**
 * Of all vCPUs of its machine: those that are offline have no CPU of their own, and are with the first, so that a guest that keeps
 * them online gains nothing by it.
 */
export function vcpusOfMachine(spec: InstanceSpec, { vcpuCpus }: Placement): readonly number[] {
  return Array.from({ length: machineSize(spec).cpus }, (_, vcpu) => vcpuCpus[vcpu] ?? vcpuCpus[0]!);
}

/**
 * The first vCPU that is elsewhere than on its CPU of `wanted`, as a sentence; null when each is where it should be. One that its guest
 * has unplugged is nowhere.
 */
export function misplacementOf(wanted: readonly number[], { vcpus }: Pick<RealPlacement, 'vcpus'>): string | null {
  const wrong = wanted.findIndex((cpu, index) => ![undefined, '', String(cpu)].includes(vcpus[index]?.join()));
  if (wrong === -1) return null;
  return `its vCPU ${wrong} may run on ${cpusText(vcpus[wrong] ?? [])} instead of CPU ${wanted[wrong]}`;
}
