/** Streams of commands that go on with the next daemon. */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { Stream } from '../core/stream.ts';
import type { GuestProcess } from '../guest/index.ts';

/** So much input is passed on before its client is told, in bytes. */
const TOLD_BYTES = 256 * 1024;

/** A client that reads nothing for so long is not waited for. */
const STALLED_MS = 1_000;
const LOOK_MS = 1;
/** So much of the time between two looks counts: where this process got no CPU for longer, its client got none either. */
const COUNTED_MS = 20;

/** Looks until `isDone`, or for STALLED_MS after `progress` was another one. False when it was not done by then. */
async function watch(isDone: () => boolean, progress: () => number): Promise<boolean> {
  let [before, stalled, at] = [progress(), 0, performance.now()];
  while (!isDone()) {
    await sleep(LOOK_MS);
    const [now, seen] = [performance.now(), progress()];
    stalled = seen === before ? stalled + Math.min(now - at, COUNTED_MS) : 0;
    if (stalled > STALLED_MS) return false;
    before = seen;
    at = now;
  }
  return true;
}

/** The stream of one session, as whoever lets go of its kernel sees it. */
export interface Carried {
  readonly session: number;
  /**
   * Once the guest says nothing more: resolves when the client has all that was said, and knows how to go on with the next daemon. False:
   * it does not, because it has not read all when the signal aborts, or there is nothing to go on with. Never rejects.
   */
  handOver(signal: AbortSignal): Promise<boolean>;
}

/**
 * Gives the stream's input to a process whose only writer it is, and tells how much of it is passed on. `evenEnded`: also of one that has
 * ended another daemon tells the client.
 */
export function carryInput<Command>(stream: Stream<Command>, process: GuestProcess, evenEnded = false): Carried {
  const { session } = process;
  let passed = 0;
  let told = 0;
  stream.notify({ taken: 0 });
  stream.onInput(process.stdin, {
    passed(bytes) {
      passed += bytes;
      if (passed - told < TOLD_BYTES) return;
      told = passed;
      stream.notify({ taken: passed });
    },
  });
  return {
    session,
    async handOver(signal) {
      const isOn = () => stream.open && !signal.aborted;
      const left = () => process.stdout.waiting + process.stderr.waiting + stream.unsent;
      // What was read last is on its way to the socket a turn later.
      await turn();
      if (!(await watch(() => !isOn() || left() === 0, left))) return false;
      // The turn after the last piece, for the same reason.
      await turn();
      if (!isOn() || (process.exit !== undefined && !evenEnded) || process.pid === 0) return false;
      stream.notify({ moved: { session, taken: passed + process.begun } });
      stream.close();
      // Its answer says that it has read all: what is cut off before that may be lost although the kernel has it.
      await watch(
        () => stream.closed || signal.aborted,
        () => 0,
      );
      return true;
    },
  };
}
