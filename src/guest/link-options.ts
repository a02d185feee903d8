import type { Clock } from '../sys/clock.ts';
import type { Turns } from './inbox.ts';

export interface GuestLinkOptions {
  /** For error messages. */
  name: string;
  /** Uniform 32-bit numbers for nonces and session ids; the default is the system's generator. */
  random?: () => number;
  /** For deadlines. */
  clock?: Clock;
  /** The line is a virtio-serial port, not a terminal: it may carry long frames. */
  isPort?: boolean;
  /** With whom the time of this process is shared; default: all links. */
  turns?: Turns;
}
