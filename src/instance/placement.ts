/** Where the kernel of an instance is to run on the host, and whether it does. */
import type { HostPlacement, RealPlacement } from '../driver/index.ts';
import { cpusText } from '../sys/cpu-list.ts';
import type { InstanceRecord } from './record.ts';

/** What a driver is told of the placement; undefined without a partition. */
export function hostPlacement({ placement }: InstanceRecord): HostPlacement | undefined {
  if (placement === null) return undefined;
  const { partition, vcpuCpus } = placement;
  const { memory, hugePageBytes, shared } = partition;
  return { vcpuCpus, memory, hugePageBytes, weight: shared?.weight ?? null };
}

/** The first vCPU that is elsewhere than on its CPU of `wanted`, as a sentence; null when each is where it should be. */
export function misplacementOf(wanted: readonly number[], { vcpus }: RealPlacement): string | null {
  const wrong = wanted.findIndex((cpu, index) => vcpus[index]?.join() !== String(cpu));
  if (wrong === -1) return null;
  return `its vCPU ${wrong} may run on ${cpusText(vcpus[wrong] ?? [])} instead of CPU ${wanted[wrong]}`;
}
