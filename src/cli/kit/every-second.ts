/** Commands with --watch. */
import { type Client, connect } from '../../client/index.ts';
import { pause } from './pause.ts';
import { interruptible } from './signals.ts';

const INTERVAL_MS = 1000;
/** Cursor to the top left, and everything erased. */
const CLEAR = '\x1b[H\x1b[J';

/** What goes before a text that is to be seen in place of the one before: nothing where it is not a terminal. */
export const inPlace = (): string => (process.stdout.isTTY === true ? CLEAR : '');

/** Looks once, or with `watch` every second until Ctrl-C. Gives the exit code. */
export async function everySecond(
  watch: boolean,
  look: (client: Client, signal: AbortSignal, first: boolean) => Promise<void>,
): Promise<number> {
  const interrupt = interruptible();
  const { signal } = interrupt;
  try {
    const client = await interrupt.unlessInterrupted(connect({ signal }));
    for (let first = true; ; first = false) {
      await look(client, signal, first);
      if (!watch) return 0;
      await pause(INTERVAL_MS, signal);
    }
  } catch (error) {
    if (signal.aborted) return interrupt.code();
    throw error;
  } finally {
    interrupt.release();
  }
}
