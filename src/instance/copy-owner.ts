/** Whose a half-copied file on a volume is. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';

/** Names the instance `name` of the state directory `home` where kernels of several daemons and machines share files. */
export function copyOwner(home: string, name: string): string {
  const { ino, birthtimeMs } = statSync(home);
  return createHash('sha256').update(`${home} ${ino} ${birthtimeMs} ${name}`).digest('hex').slice(0, 16);
}
