/**
 * Memory of a running kernel of User Mode Linux that goes out and comes back: its agent holds pages, and the host frees what is behind
 * them. Debian's kernels can unplug pages themselves, but free them by a call that the jail refuses.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type GuestLink, type Held, holdMemory } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { formatBytes } from '../../sys/units.ts';
import type { UmlRam } from './ram.ts';

/** As with the balloon of QEMU: what it has not given by then it does not want to give. */
const DEADLINE_MS = 10_000;
const POLL_MS = 20;

/** Bytes that are out of the machine's. */
export const memoryOut = async (guest: Pick<GuestLink, 'ask'>, machineBytes: number): Promise<number> =>
  (await holdMemory(guest, machineBytes)).bytes;

/**
 * Has `after` bytes out, where `before` are by memoryOut(). `open`: the kernel's memory, asked for when there is something to free.
 * Rejects with `not-ready` when programs use what is to go: all is then as it was.
 */
export async function setMemoryOut(
  guest: Pick<GuestLink, 'ask'>,
  machineBytes: number,
  { before, after }: { before: number; after: number },
  open: () => Pick<UmlRam, 'free'> & Disposable,
): Promise<void> {
  if (after <= before) {
    if (after < before) await holdMemory(guest, machineBytes, after);
    return;
  }
  using ram = open();
  const deadline = Date.now() + DEADLINE_MS;
  let held: Held = { bytes: before, places: [] };
  while (held.bytes < after) {
    const next = await holdMemory(guest, machineBytes, after);
    for (const { offset, bytes } of next.places) ram.free(offset, bytes);
    if (next.bytes === held.bytes) {
      if (Date.now() > deadline) break;
      await delay(POLL_MS);
    }
    held = next;
  }
  if (held.bytes === after) return;
  await holdMemory(guest, machineBytes, before);
  throw new PolykernelError(
    'not-ready',
    `the guest can spare ${formatBytes(held.bytes - before)} within ${DEADLINE_MS / 1000} s, and not ${formatBytes(after - before)}`,
    {
      field: 'memoryBytes',
      value: machineBytes - after,
      hint: 'Its programs use more than that. Leave it more, or stop some of them.',
    },
  );
}
