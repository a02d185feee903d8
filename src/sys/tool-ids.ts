/**
 * As whom root's tools run: each run under an id that is nobody else's, so that limits on processes count its own alone. The
 * ids are above all that a kernel can have (src/instance/id-registry.ts), and HAProxy's (src/service/config.ts). Chosen by chance out of many, as other daemons choose
 * too: two that meet would count together, and reach nothing of each other.
 */
import { randomInt } from 'node:crypto';

export const FIRST_TOOL_ID = 0x7fff_1000;
export const TOOL_IDS = 0xfff;

const taken = new Set<number>();

/** An id that no other run of this process has; undefined for other users than root. Give it back with freeToolId(). */
export function takeToolId(): number | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (;;) {
    const id = FIRST_TOOL_ID + randomInt(TOOL_IDS);
    if (taken.has(id) && taken.size < TOOL_IDS) continue;
    taken.add(id);
    return id;
  }
}

export function freeToolId(id: number | undefined): void {
  if (id !== undefined) taken.delete(id);
}
