/** The workload of one run: begun in its guest or found there again, and its output brought to the log. */
import { setImmediate as turn } from 'node:timers/promises';
import type { FoundSession, GuestExit, GuestLink, GuestProcess } from '../guest/index.ts';
import { pump, type Watcher, type WorkloadLog } from './output.ts';
import type { InstanceSpec } from './spec.ts';

/** Hands it to the guest. Throws as GuestLink.exec. */
export function execWorkload(guest: GuestLink, spec: InstanceSpec): GuestProcess {
  const { command, env, cwd, cwdOptional, user, merged, rows, columns } = spec;
  return guest.exec({
    ...{ command, env, cwd, cwdOptional, user, merged },
    tty: spec.tty ? { rows, columns } : undefined,
  });
}

/** Takes it over from an earlier daemon, and gives up all transfers of files. undefined when it is not there. */
export function adoptWorkload(guest: GuestLink, session: number | null): GuestProcess | undefined {
  const found = guest.sessions();
  forget(
    guest,
    found.filter((each) => each.session !== session && each.pid === 0),
  );
  return session !== null && found.some((each) => each.session === session) ? guest.adopt(session) : undefined;
}

/** Gives up the sessions of an earlier daemon that nobody has gone on with. */
export function giveUp(guest: GuestLink): void {
  forget(guest, guest.sessions());
}

function forget(guest: GuestLink, found: readonly FoundSession[]): void {
  for (const { session } of found) guest.adopt(session).forget();
}

/** Where the output of a detached workload goes. */
interface Readers {
  readonly log: WorkloadLog;
  readonly watchers: ReadonlySet<Watcher>;
}

/** INVARIANT: its end is told when all of its output was read. */
export class Workload {
  readonly main: GuestProcess;
  /** Until its output is in its log. Never rejects. */
  readonly output: Promise<unknown>;

  readonly #isRead: boolean;

  /** `readers`: undefined in the foreground, where the client reads. */
  constructor(main: GuestProcess, readers: Readers | undefined, tell: { began(): void; ended(exit: GuestExit): void }) {
    this.main = main;
    this.output =
      readers === undefined
        ? Promise.resolve()
        : Promise.all([
            pump(main.stdout, 'out', readers.log, readers.watchers),
            pump(main.stderr, 'err', readers.log, readers.watchers),
          ]);
    main.started.then(tell.began, () => {});
    this.#isRead = readers !== undefined;
    void main.exited.then(async (exit) => {
      await this.output;
      tell.ended(exit);
    });
  }

  /** Resolves when all that came so far is in its log, or the signal aborts. */
  async caughtUp(signal: AbortSignal): Promise<void> {
    const { stdout, stderr } = this.main;
    while (this.#isRead && !signal.aborted && stdout.waiting + stderr.waiting > 0) await turn();
    // What was read last is written by who read it.
    await turn();
  }
}
