/** The processes that run in one guest: found again after a daemon's restart, and bounded in number. */
import type { PolykernelError } from '../sys/errors.ts';
import type { LineWriter } from './line.ts';
import type { Counts, GuestExit } from './process.ts';
import { GuestProcess } from './process.ts';
import { MAX_HELD } from './protocol.ts';

/** How often OUTPUT_CREDIT is lent to all sessions of a guest together. */
const MAX_LENT = 6;

/** A session that an earlier manager left in the guest. */
export interface FoundSession {
  session: number;
  /** 0: a file transfer, or a process that never started. */
  pid: number;
  /** How it ended, if it has. */
  exit: GuestExit | undefined;
}

/** What a guest lists in answer to a HELLO. */
export type Listed = ReadonlyMap<number, ListedSession>;

export interface ListedSession {
  pid: number;
  exit: GuestExit | undefined;
  /** Undefined: its agent is of an earlier version. */
  counts?: Counts;
}

/** The sessions of one guest as the host holds them. INVARIANT: an id has at most one, and there are at most MAX_HELD. */
export class Sessions {
  readonly #line: LineWriter;
  readonly #random: () => number;
  readonly #processes = new Map<number, GuestProcess>();
  /** Of an earlier manager, which nobody has taken over yet. */
  readonly #found = new Map<number, GuestProcess>();
  /** Given up; the guest is still to be told. */
  readonly #leaving = new Set<number>();
  #isConnected = false;
  #lent = 0;

  constructor(line: LineWriter, random: () => number) {
    this.#line = line;
    this.#random = random;
  }

  get isFull(): boolean {
    return this.#processes.size + this.#found.size + this.#leaving.size >= MAX_HELD;
  }

  get(session: number): GuestProcess | undefined {
    return this.#processes.get(session) ?? this.#found.get(session);
  }

  found(): FoundSession[] {
    return [...this.#found.values()].map(({ session, pid, exit }) => ({ session, pid, exit }));
  }

  /** A new one. `withdraw` is asked when it is given up: whether the guest never hears of it at all. */
  open(withdraw: () => boolean): GuestProcess {
    let session = 0;
    while (session === 0 || this.get(session) !== undefined || this.#leaving.has(session))
      session = this.#random() >>> 0;
    return this.#add(session, this.#processes, withdraw);
  }

  /** Undefined when there is none to take over. */
  adopt(session: number): GuestProcess | undefined {
    const process = this.#found.get(session);
    if (process === undefined) return undefined;
    this.#found.delete(session);
    this.#processes.set(session, process);
    return process;
  }

  /** After a HELLO: matches what the guest listed against what is known here. */
  resume(listed: Listed): void {
    this.#isConnected = true;
    for (const session of [...this.#found.keys()]) if (!listed.has(session)) this.#found.delete(session);
    for (const process of this.#processes.values()) {
      const own = listed.get(process.session);
      process.connectionReset();
      if (own === undefined)
        process.finish({ kind: 'failed', value: 0, message: 'the session was lost with the connection' });
      else if (own.exit !== undefined) process.finish(own.exit);
      else process.grantOutput();
    }
    for (const [session, { pid, exit, counts }] of listed) {
      if (this.#processes.has(session)) continue;
      const process = this.#found.get(session) ?? this.#add(session, this.#found, () => false);
      process.connectionReset();
      process.counts = counts;
      if (pid !== 0) process.markStarted(pid);
      if (exit !== undefined) process.finish(exit);
    }
  }

  /** Nothing can be told any more; those that run go on in the guest. */
  disconnect(): void {
    this.#isConnected = false;
    this.#leaving.clear();
  }

  /** The guest is gone, and all of them with it. */
  end(error: PolykernelError): void {
    for (const process of [...this.#processes.values(), ...this.#found.values()])
      process.finish({ kind: 'failed', value: 0, message: error.message });
    this.#processes.clear();
    this.#found.clear();
  }

  #add(session: number, owner: Map<number, GuestProcess>, withdraw: () => boolean): GuestProcess {
    const process = new GuestProcess(session, this.#line, {
      onForget: () => {
        this.#processes.delete(session);
        this.#found.delete(session);
        if (this.#isConnected && !withdraw()) this.#leaving.add(session);
      },
      onTold: () => void this.#leaving.delete(session),
      lend: () => {
        if (this.#lent >= MAX_LENT) return false;
        this.#lent += 1;
        return true;
      },
      onReturn: (times) => {
        this.#lent -= times;
      },
    });
    owner.set(session, process);
    return process;
  }
}
