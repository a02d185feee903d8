/** User and group of HAProxy once it has bound its ports: nobody else's, above those of kernels and below those of tools. */
import { PolykernelError } from '../sys/errors.ts';
import type { IdBlock } from '../sys/identity.ts';
import { freeId, overlap, takenIds } from '../sys/taken-ids.ts';

/** Others than the first only where a user of the machine has been given that. */
export const PROXY_IDS: IdBlock = { start: 0x7fff_0002, count: 0xffe };

/** Throws `unavailable` when users of the machine have all of them. */
export function proxyUid(taken: readonly IdBlock[] = takenIds()): number {
  const id = freeId(PROXY_IDS, taken);
  if (id !== undefined) return id;
  throw new PolykernelError('unavailable', 'no user id is free for HAProxy', {
    hint: `/etc/subuid, /etc/subgid or /etc/passwd give all from ${PROXY_IDS.start} to ${PROXY_IDS.start + PROXY_IDS.count - 1} to others.`,
  });
}

/** Whether a process with this id can be HAProxy, and no user's. */
export function isProxyUid(uid: number, taken: () => readonly IdBlock[] = takenIds): boolean {
  const block = { start: uid, count: 1 };
  return overlap(block, PROXY_IDS) && !taken().some((each) => overlap(block, each));
}
