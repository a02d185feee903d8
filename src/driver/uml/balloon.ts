/**
 * Memory of a running kernel of User Mode Linux that goes out and comes back: its agent holds pages, and the host frees what is behind
 * them. Debian's kernels can unplug pages themselves, but free them by a call that the jail refuses.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type GuestLink, type Held, holdMemory } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { formatBytes } from '../../sys/units.ts';
import type { Place, UmlRam } from './ram.ts';

/** As with the balloon of QEMU: what it has not given by then it does not want to give. */
const DEADLINE_MS = 10_000;
/** Later where more than before has come by then: 4 MiB a second, which takes four answers. */
const BYTES_PER_MS = 4096;
const POLL_MS = 20;
/** A hole of a piece takes milliseconds, unless the kernel's process keeps its memory busy to be in the way. */
const HOLES_MS = 10_000;

/** Bytes that are out of the machine's. */
export const memoryOut = async (guest: Pick<GuestLink, 'ask'>, machineBytes: number): Promise<number> =>
  (await holdMemory(guest, machineBytes)).bytes;

export interface OutOptions {
  /** How long the host waits for a hole. */
  patienceMs?: number;
  /** Of a kernel that starts, for which nobody else waits: as long as this does not abort the deadline begins anew with whatever comes. */
  starting?: AbortSignal;
}

/**
 * Has `after` bytes out, where `before` are by memoryOut(). `open`: the kernel's memory, asked for when there is something to free.
 * Rejects with `not-ready` when programs use what is to go: all is then as it was. The same when the host waits in vain for memory that
 * the guest holds, which counts against it, and as UmlRam does: what is held then stays so, for a hole that comes late would be one in
 * what its programs have again.
 */
export async function setMemoryOut(
  guest: Pick<GuestLink, 'ask' | 'blame'>,
  machineBytes: number,
  { before, after }: { before: number; after: number },
  open: () => Promise<Pick<UmlRam, 'free'> & Disposable>,
  { patienceMs = HOLES_MS, starting }: OutOptions = {},
): Promise<void> {
  if (after <= before) {
    if (after < before) await holdMemory(guest, machineBytes, after);
    return;
  }
  using ram = await open();
  const begun = performance.now();
  let moreAt = begun;
  let held: Held = { bytes: before, places: [] };
  // A guest may say less than before, and then more again, for ever.
  let most = before;
  while (held.bytes < after) {
    held = await holdMemory(guest, machineBytes, after);
    await freeInTime(guest, ram, held.places, patienceMs);
    const isMore = held.bytes > most;
    if (isMore) moreAt = performance.now();
    most = Math.max(most, held.bytes);
    const waitsFrom = starting === undefined ? begun + (most - before) / BYTES_PER_MS : moreAt;
    if (performance.now() > waitsFrom + DEADLINE_MS || starting?.aborted) break;
    if (!isMore) await delay(POLL_MS);
  }
  if (held.bytes === after) return;
  await holdMemory(guest, machineBytes, before);
  throw new PolykernelError(
    'not-ready',
    `the guest can spare ${formatBytes(Math.max(0, held.bytes - before))} within ${Math.floor((performance.now() - begun) / 1000)} s, and not ${formatBytes(after - before)}`,
    {
      field: 'memoryBytes',
      value: machineBytes - after,
      hint: 'Its programs use more than that. Leave it more, or stop some of them.',
    },
  );
}

async function freeInTime(
  guest: Pick<GuestLink, 'blame'>,
  ram: Pick<UmlRam, 'free'>,
  places: readonly Place[],
  patienceMs: number,
): Promise<void> {
  const late = AbortSignal.timeout(patienceMs);
  try {
    await ram.free(places, late);
  } catch (error) {
    if (!late.aborted) throw error;
    guest.blame('the host, which takes memory back');
    throw new PolykernelError('not-ready', 'the kernel keeps the host from taking its memory back', {
      field: 'memoryBytes',
      hint: 'Treat the guest as hostile or broken, or wait until the host is less busy and try again.',
    });
  }
}
