/**
 * Changes by what is there, not by what was asked for: a transaction that failed is done in part, one that says `applied` may lack CPUs,
 * and the kernel gives no reason that could be told from another. So the difference is taken, written, and taken anew.
 */
import type { Change } from '../../devicetree/multikernel/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { MultikernelHost } from './host.ts';
import { type KernelFiles, NotApplied } from './interface.ts';

type Pause = Pick<MultikernelHost, 'pause'>;

/** Together a third of a second: what another operation of the kernel takes. What fails for good fails this often. */
const PAUSES_MS = [10, 20, 40, 80, 160];

/**
 * Writes what `difference` says until it says nothing. Rejects with `internal` naming `doing` and the kernel's last word, and gives
 * back nothing of what was done: who asks knows how to.
 */
export async function converge(
  files: KernelFiles,
  { pause }: Pause,
  doing: string,
  difference: () => readonly Change[],
): Promise<void> {
  let last: unknown;
  for (const milliseconds of [...PAUSES_MS, 0]) {
    const changes = difference();
    if (changes.length === 0) return;
    last = await attempt(() => files.apply(changes));
    if (difference().length === 0) return;
    await pause(milliseconds);
  }
  throw refused(doing, last);
}

/** The error of what was not done; undefined when it was. */
export async function attempt(action: () => Promise<void>): Promise<NotApplied | undefined> {
  try {
    await action();
    return undefined;
  } catch (error) {
    if (error instanceof NotApplied) return error;
    throw error;
  }
}

export const refused = (doing: string, last: unknown): PolykernelError =>
  new PolykernelError(
    'internal',
    `${doing}: ${last instanceof Error ? last.message : 'the kernel did less than it said'}`,
    {
      hint: 'See the kernel log (dmesg), where the kernel says why.',
    },
  );

/** Repeats a call while the kernel says that it is busy with another. Throws what it says else, or at last. */
export async function unlessBusy(
  { pause }: Pause,
  call: () => Promise<void>,
  isBusy: (error: unknown) => boolean,
): Promise<void> {
  for (const milliseconds of PAUSES_MS) {
    try {
      return await call();
    } catch (error) {
      if (!isBusy(error)) throw error;
      await pause(milliseconds);
    }
  }
  return call();
}
