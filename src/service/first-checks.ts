/**
 * The first look at a target whose kernel has come back. HAProxy's timer of checks goes on while a server is out of use, at the pace of
 * one that is well, so that its own first check comes up to a second after the kernel does; a program listens long before.
 *
 * INVARIANT: a server is looked at by one at most, and LOOKS times, however the clock is set; nothing is said of one that was given up.
 */
import type { Clock } from '../sys/clock.ts';
import type { Knock } from '../sys/namespace-socket.ts';

/** Between two looks. */
const PACE_MS = 10;
/** What is not answered in so many is asked anew: the first packet to a kernel that has just come may be lost. */
const UNANSWERED = 10;
/** HAProxy's own first check has come by then. */
const LOOKS = 150;

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
    let looks = 0;
    let askedAt = 0;
    let cancel = () => {};
    const end = () => {
      cancel();
      asked?.close();
      this.#looks.delete(server);
    };
    const look = () => {
      looks += 1;
      if (looks > LOOKS) return end();
      const answer = asked?.look();
      if (answer === 'taken') {
        end();
        return listens();
      }
      if (answer !== 'waits' || looks - askedAt >= UNANSWERED) {
        asked?.close();
        asked = this.#knock(address, port);
        askedAt = looks;
        if (asked === undefined) return end();
      }
      cancel = this.#clock.after(PACE_MS, look);
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
