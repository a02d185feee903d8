/** Which processes a bound on their number (RLIMIT_NPROC) counts. */
import { release } from 'node:os';

/**
 * Whether it counts those of one jail alone. Before Linux 5.14 all processes of a user count, those outside of the jail too;
 * as root, each jail is a user.
 */
export function countsByJail(): boolean {
  if (process.getuid?.() === 0) return true;
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 5 || (major === 5 && minor >= 14);
}
