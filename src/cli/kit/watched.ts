/** The shape of commands with --watch: what is, once or every second until Ctrl-C. */
import { type Client, connect } from '../../client/index.ts';
import type { Invocation, OptionSpec } from './command.ts';
import { readAgain } from './next-daemon.ts';
import { print, printJson, printJsonLine } from './output.ts';
import { pause } from './pause.ts';
import { interruptible } from './signals.ts';

const INTERVAL_MS = 1000;
/** Cursor to the top left, and everything erased. */
const CLEAR = '\x1b[H\x1b[J';

export const WATCH_OPTION: OptionSpec = { short: 'w', help: 'again every second' };

export interface Look {
  client: Client;
  invocation: Invocation;
  /** Aborts at Ctrl-C. */
  signal: AbortSignal;
  /** Whether nothing was shown yet. */
  first: boolean;
  /** What goes before a text that is to be seen in place of the one before: nothing where it is not a terminal. */
  clear: string;
}

/** Values without end, `pause` apart. */
type Values<T> = (look: Omit<Look, 'first' | 'clear'>, pause: () => Promise<void>) => AsyncIterable<T>;

/** What `read` gives, again and again. */
export const repeated = <T>(read: (look: Parameters<Values<T>>[0]) => Promise<T>): Values<T> =>
  async function* (look, pause) {
    for (;;) {
      yield await read(look);
      await pause();
    }
  };

/** The run of a command: shows the first of `values` as `draw` draws it, or with --watch all; with --json as JSON. */
export function watched<T>(
  values: Values<T>,
  draw: (value: T, look: Look) => string,
): (invocation: Invocation) => Promise<number> {
  return async (invocation) => {
    const [watch, json] = [invocation.flag('watch'), invocation.flag('json')];
    const clear = watch && process.stdout.isTTY === true ? CLEAR : '';
    const interrupt = interruptible();
    const { signal } = interrupt;
    try {
      const client = await interrupt.unlessInterrupted(connect({ signal }));
      let first = true;
      const looks = (client: Client) => values({ client, invocation, signal }, () => pause(INTERVAL_MS, signal));
      for await (const value of watch ? readAgain(client, looks, { signal }) : looks(client)) {
        if (!json) await print(draw(value, { client, invocation, signal, first, clear }));
        else await (watch ? printJsonLine(value) : printJson(value));
        if (!watch) break;
        first = false;
      }
      return 0;
    } catch (error) {
      if (signal.aborted) return interrupt.code();
      throw error;
    } finally {
      interrupt.release();
    }
  };
}
