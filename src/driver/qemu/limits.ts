/** What one QEMU may take of the host (docs/enforcement.md, "Limits"). */
import type { KernelLimits, LaunchSpec } from '../driver.ts';
import { channelBytes, type LimitedSpec, MOST_OPEN_FILES, wholeMib } from '../jail/limits.ts';

const MIB = 2 ** 20;
/** bubblewrap outside and inside, the VMM with its helpers; its thread pools grow to 64. */
const QEMU_THREADS = 256;
const QEMU_OVERHEAD = 512 * MIB;

/** QEMU: one process. Its overhead is translated code, its own heap, and page tables. */
export function qemuLimits(spec: LimitedSpec & Pick<LaunchSpec, 'cpus'>): KernelLimits {
  const guest = wholeMib(spec.memoryBytes);
  const overheadBytes = QEMU_OVERHEAD + wholeMib(spec.cpus * 4 * MIB + guest / 64);
  return {
    processes: QEMU_THREADS + spec.cpus,
    memoryBytes: guest + wholeMib(channelBytes(spec)) + overheadBytes,
    overheadBytes,
    openFiles: MOST_OPEN_FILES,
    // Stacks of 8 MiB that are hardly touched.
    dataBytes: guest + overheadBytes + (QEMU_THREADS + spec.cpus) * 8 * MIB,
  };
}
