/**
 * The names of files that are not whole yet. A copy that is killed cannot remove its own: each name says whose it is, and the
 * next copy into that directory removes those whose process is gone.
 */
import { createHash, randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { hostBootId } from '../../../sys/host-boot.ts';
import { processStartTime } from '../../../sys/process.ts';
import { inside } from './pack.ts';

const NAME = /^\.pk-cp-([0-9a-f]{16})-(\d{1,10})-(\d{1,20})-[0-9a-f]{16}$/;

let known: string | undefined;

/** A directory may be shared with other machines, or systems with processes of their own: theirs are not seen here. */
function world(): string {
  known ??= createHash('sha256')
    .update(`${hostBootId()} ${readlinkSync('/proc/self/ns/pid')}`)
    .digest('hex');
  return known.slice(0, 16);
}

export function partialName(): Buffer {
  const start = processStartTime(process.pid) ?? 0;
  return Buffer.from(`.pk-cp-${world()}-${process.pid}-${start}-${randomBytes(8).toString('hex')}`);
}

/** Removes from the directory `fd` what copies that were killed have left. What cannot be read or removed stays. */
export function removeAbandoned(fd: number): void {
  const uid = process.geteuid?.();
  try {
    for (const name of readdirSync(inside({ fd }, Buffer.alloc(0)), { encoding: 'buffer' })) {
      const [, where, pid, start] = NAME.exec(name.toString('latin1')) ?? [];
      if (where !== world() || processStartTime(Number(pid)) === Number(start)) continue;
      const path = inside({ fd }, name);
      // Processes of others may be hidden from all but root.
      if (uid === 0 || lstatSync(path).uid === uid) rmSync(path, { force: true });
    }
  } catch {}
}
