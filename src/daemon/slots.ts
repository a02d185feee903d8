/** Unprivileged user ids for kernels, so that no two instances share one. */
import { createHash } from 'node:crypto';

/** Far above any real user, container range or nobody: 0x70000000. */
const FIRST_UID = 1_879_048_192;
/** Each state directory has its own block, chosen by its path: two daemons share one in 4096 cases only. */
const SLOT_BITS = 12;
const SLOTS = 1 << SLOT_BITS;

export function uidOfSlot(home: string, slot: number): number {
  const block = createHash('sha256').update(home).digest().readUInt16LE() >>> 4;
  return FIRST_UID + (block << SLOT_BITS) + slot;
}

/** The lowest slot that is not taken, or undefined when all are. */
export function freeSlot(taken: ReadonlySet<number>): number | undefined {
  for (let slot = 0; slot < SLOTS; slot++) if (!taken.has(slot)) return slot;
  return undefined;
}
