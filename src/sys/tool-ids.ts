/**
 * As whom root's tools run: each run under an id that is nobody else's, so that limits on processes count its own alone. The
 * ids are above all that a kernel can have (src/instance/id-registry.ts), and HAProxy's (src/service/proxy-uid.ts). Chosen by chance out of many, as other daemons choose
 * too: two that meet would count together, and reach nothing of each other.
 */
import { randomInt } from 'node:crypto';
import { PolykernelError } from './errors.ts';
import type { IdBlock } from './identity.ts';
import { freeId, takenIds } from './taken-ids.ts';

export const FIRST_TOOL_ID = 0x7fff_1000;
export const TOOL_IDS = 0xfff;

const used = new Set<number>();

/**
 * An id that no user of the machine and no other run of this process has; undefined for other users than root. Give it back with
 * freeToolId(). Throws `unavailable` when users of the machine have all of them.
 */
export function takeToolId(taken: readonly IdBlock[] = takenIds()): number | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const among = { start: FIRST_TOOL_ID, count: TOOL_IDS };
  const first = FIRST_TOOL_ID + randomInt(TOOL_IDS);
  const id = freeId(among, taken, first, (each) => used.has(each)) ?? freeId(among, taken, first);
  if (id === undefined)
    throw new PolykernelError('unavailable', 'no user id is free for a program that unpacks what others made', {
      hint: `/etc/subuid, /etc/subgid or /etc/passwd give all from ${FIRST_TOOL_ID} to ${FIRST_TOOL_ID + TOOL_IDS - 1} to others.`,
    });
  used.add(id);
  return id;
}

export function freeToolId(id: number | undefined): void {
  if (id !== undefined) used.delete(id);
}
