/**
 * The first look at a target whose kernel has come back. HAProxy's timer of checks goes on while a server is out of use, at the pace of
 * one that is well, so that its own first check comes up to a second after the kernel does; a program listens long before.
 *
 * INVARIANT: a server is looked at by one at most, for LOOK_MS of pauses, however the clock is set; nothing is said of one that was given up.
 */
import type { Clock } from '../sys/clock.ts';
import type { Knock } from '../sys/namespace-socket.ts';

/** Between two looks: a share of what it was waited for, so that it is found by so much late, within bounds for both machines. */
const SHARE = 0.1;
const LEAST_MS = 2;
const MOST_MS = 10;
/** What is not answered by then is asked anew: the first packet to a kernel that has just come may be lost. */
const UNANSWERED_MS = 100;
/** HAProxy's own first check has come by then. */
const LOOK_MS = 1_500;

export class FirstChecks {
  readonly #clock: Clock;
  readonly #knock: (address: string, port: number) => Knock | undefined;
  /** What gives up each, by server. */
  readonly #looks = new Map<string, () => void>();

  constructor(clock: Clock, knock: (address: string, port: number) => Knock | undefined) {
    this.#clock = clock;
    this.#knock = knock;
  }

  /** Calls `listens` once a connection is taken; in place of an earlier look at that server. */
  begin(server: string, address: string, port: number, listens: () => void): void {
    this.giveUp(server);
    let asked: Knock | undefined;
    let waited = 0;
    let askedAt = 0;
    let cancel = () => {};
    const end = () => {
      cancel();
      asked?.close();
      this.#looks.delete(server);
    };
    const look = () => {
      const answer = asked?.look();
      if (answer === 'taken') {
        end();
        return listens();
      }
      if (waited >= LOOK_MS) return end();
      if (answer !== 'waits' || waited - askedAt >= UNANSWERED_MS) {
        asked?.close();
        asked = this.#knock(address, port);
        askedAt = waited;
        if (asked === undefined) return end();
      }
      const pause = Math.round(Math.min(MOST_MS, Math.max(LEAST_MS, waited * SHARE)));
      waited += pause;
      cancel = this.#clock.after(pause, look);
    };
    this.#looks.set(server, end);
    look();
  }

  giveUp(server: string): void {
    this.#looks.get(server)?.();
  }

  close(): void {
    for (const end of [...this.#looks.values()]) end();
  }
}
