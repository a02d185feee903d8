/** What one kernel of User Mode Linux may take of the host (docs/enforcement.md, "Limits"). */
import type { KernelLimits } from '../driver.ts';
import { channelBytes, type LimitedSpec, MOST_OPEN_FILES, wholeMib } from '../jail/limits.ts';

const MIB = 2 ** 20;
const MOST_PROCESSES = 32_768;
/** bubblewrap outside and inside, the kernel with its helpers. */
const UML_HELPERS = 256;
const UML_OVERHEAD = 256 * MIB;

/**
 * User Mode Linux: each process of the guest is one of the host's, with page tables and mappings that the host kernel keeps
 * for it; the guest's memory itself is shared between them.
 */
export function umlLimits(spec: LimitedSpec): KernelLimits {
  const guest = wholeMib(spec.memoryBytes);
  const overheadBytes = UML_OVERHEAD + guest;
  return {
    processes: Math.min(MOST_PROCESSES, UML_HELPERS + guest / MIB),
    memoryBytes: guest + wholeMib(channelBytes(spec)) + overheadBytes,
    overheadBytes,
    openFiles: MOST_OPEN_FILES,
    dataBytes: UML_OVERHEAD,
  };
}
