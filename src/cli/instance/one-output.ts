/** Both outputs of a command in a guest as one, where they are one here: what is written to both keeps its order. */
import { PolykernelError } from '../../sys/errors.ts';

/** Whether standard output and standard error of this process are one file, as after `2>&1`. */
export function isOneOutput(): boolean {
  const { fstatSync } = process.getBuiltinModule('node:fs');
  try {
    const [output, error] = [1, 2].map((fd) => fstatSync(fd, { bigint: true }));
    return output!.dev === error!.dev && output!.ino === error!.ino;
  } catch {
    return false;
  }
}

/** Whether a daemon, of an earlier version, does not know that wish. */
export const isUnknown = (error: unknown): boolean =>
  error instanceof PolykernelError && error.code === 'invalid' && error.field === 'merged';

/** Does `work`, which says so where they are one; again without it for a daemon that does not know that wish. */
export async function asOneOutput<T>(isOne: boolean, work: (wish: { merged?: true }) => Promise<T>): Promise<T> {
  if (!isOne) return work({});
  try {
    return await work({ merged: true });
  } catch (error) {
    if (isUnknown(error)) return work({});
    throw error;
  }
}
