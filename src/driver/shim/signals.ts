/** Signal numbers and names. Linux numbers, from the machine itself. */
import { constants } from 'node:os';

const NAMES = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]));
// Two names share a number; the first listed must not win.
NAMES.set(constants.signals.SIGABRT, 'SIGABRT');
NAMES.set(constants.signals.SIGIO, 'SIGIO');

/** `SIGKILL` for 9; real-time and unknown signals by number, as `SIG34`. */
export function signalName(number: number): NodeJS.Signals {
  return NAMES.get(number) ?? (`SIG${number}` as NodeJS.Signals);
}
