/**
 * One registry for the machine of the ranges of user ids that kernels have, shared by all daemons that run as root.
 *
 * INVARIANTS
 * - No two kernels have a range at the same time, whichever daemons started them.
 * - What is gone for a daemon in one mount or pid namespace may be there for one in another: who sees other files or processes gives back
 *   nothing of it before the next boot.
 * - A range whose ids may have been left on files is never given out again.
 * - No range meets ids that users of the machine have or have been given (src/sys/taken-ids.ts), or that this system cannot map.
 */
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { type IdBlock, type Identity, RANGE_IDS } from '../sys/identity.ts';
import { defaultHome } from '../sys/paths.ts';
import { goneOf } from '../sys/patience.ts';
import { overlap, takenIds } from '../sys/taken-ids.ts';
import { ownView, seesAs, type View, viewText } from '../sys/view.ts';
import type { Identities } from './identities.ts';

/** Not in a state directory: those come and go, and there may be several. */
const REGISTRY = '/var/lib/polykernel-ids/ids.db';
/** Above what systemd gives to containers and users (0x6fffffff), and above the single ids of earlier versions; below 2^31. */
const FIRST = 0x7100_0000;
const LAST = 0x7ffd_0000;
const BUSY_MS = 10_000;
/** For other state directories: a start of a daemon waits for them. */
const PATIENCE_MS = 2000;

export interface IdRegistryOptions {
  file?: string;
  /** Blocks that belong to others. */
  taken?: () => readonly IdBlock[];
  /** Blocks that this system has at all. */
  mappable?: () => readonly IdBlock[];
  /** Starts of the ranges that some process has now. */
  inUse?: () => ReadonlySet<number>;
  /** What this daemon sees of the machine. */
  view?: View;
}

export class IdRegistry implements Identities {
  readonly #home: string;
  readonly #options: Required<IdRegistryOptions>;
  /** Starts of the ranges that this daemon's kernels have, by instance: nobody else changes these. */
  readonly #held = new Map<string, number>();
  #open: { database: DatabaseSync; inode: number } | undefined;

  /** `home`: the state directory of the daemon that asks. */
  constructor(home: string, options: IdRegistryOptions = {}) {
    this.#home = home;
    this.#options = {
      file: REGISTRY,
      taken: takenIds,
      mappable: () => parseIdMap(readFileSync('/proc/self/uid_map', 'latin1')),
      inUse: rangesInUse,
      view: ownView(),
      ...options,
    };
  }

  take(id: string): Identity {
    const start = this.#held.get(id) ?? this.#write((database) => this.#startOf(database, id));
    this.#held.set(id, start);
    return { kind: 'range', start, count: RANGE_IDS };
  }

  release(id: string): void {
    this.#held.delete(id);
    this.#write((database) => forget(database, this.#home, id));
  }

  /** On the disk when this returns, unlike the rest: after a loss of power no kernel has a range, but files have owners. */
  spend(id: string): void {
    this.#write(
      (database) => database.prepare('UPDATE ranges SET spent = 1 WHERE home = ? AND instance = ?').run(this.#home, id),
      'FULL',
    );
  }

  /** Also what state directories had that are not there any more, once none of their kernels runs. */
  async releaseAllBut(there: () => ReadonlySet<string>): Promise<void> {
    const gone = await goneOf(this.homes(), PATIENCE_MS);
    const ids = there();
    const inUse = this.#options.inUse();
    const view = viewText(this.#options.view);
    for (const id of this.#held.keys()) if (!ids.has(id)) this.#held.delete(id);
    this.#write((database) => {
      const sees = database.prepare('UPDATE ranges SET view = ? WHERE start = ?');
      for (const row of database.prepare("SELECT start, home, instance, view FROM ranges WHERE instance <> ''").all()) {
        const [home, instance] = [String(row.home), String(row.instance)];
        const isOwn = home === this.#home;
        if (isOwn && ids.has(instance)) {
          sees.run(view, row.start!);
          continue;
        }
        // In another mount namespace another directory can have the path of this daemon's.
        const isGone = (isOwn || gone.has(home)) && seesAs(this.#options.view, String(row.view));
        if (isGone && !inUse.has(Number(row.start))) forget(database, home, instance);
      }
    });
  }

  #startOf(database: DatabaseSync, id: string): number {
    const mine = database.prepare('SELECT start FROM ranges WHERE home = ? AND instance = ?').get(this.#home, id);
    if (mine !== undefined) return Number(mine.start);
    const start = this.#free(database);
    database
      .prepare('INSERT INTO ranges (start, home, instance, view) VALUES (?, ?, ?, ?)')
      .run(start, this.#home, id, viewText(this.#options.view));
    return start;
  }

  homes(): readonly string[] {
    try {
      const rows = this.#database().prepare("SELECT DISTINCT home FROM ranges WHERE home <> ''").all();
      const homes = new Set([defaultHome(), ...rows.map(({ home }) => String(home))]);
      return [...homes].filter((home) => home !== this.#home);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Throws `unavailable` when there is none. */
  #free(database: DatabaseSync): number {
    const used = new Set(
      database
        .prepare('SELECT start FROM ranges')
        .all()
        .map(({ start }) => Number(start)),
    );
    const [taken, mappable] = [this.#options.taken(), this.#options.mappable()];
    for (let start = FIRST; start <= LAST; start += RANGE_IDS) {
      const range = { start, count: RANGE_IDS };
      if (used.has(start) || taken.some((block) => overlap(range, block))) continue;
      if (mappable.some((block) => block.start <= start && start + RANGE_IDS <= block.start + block.count))
        return start;
    }
    throw new PolykernelError('unavailable', 'no range of user ids is free for another kernel', {
      hint: 'Remove instances that are no longer needed. In a container, give it the ids from 1895825408 on.',
    });
  }

  #write<T>(action: (database: DatabaseSync) => T, synchronous: 'NORMAL' | 'FULL' = 'NORMAL'): T {
    let database: DatabaseSync | undefined;
    try {
      database = this.#database();
      database.exec(`PRAGMA synchronous = ${synchronous}; BEGIN IMMEDIATE`);
      const result = action(database);
      database.exec('COMMIT');
      return result;
    } catch (error) {
      if (database?.isTransaction) database.exec('ROLLBACK');
      throw this.#failed(error);
    }
  }

  #failed(error: unknown): PolykernelError {
    return asPolykernelError(error, `using the registry of user ids, ${this.#options.file}`);
  }

  /** Stays open, but is opened anew when it is another file by now, so that all daemons have the same. */
  #database(): DatabaseSync {
    const { file } = this.#options;
    if (this.#open !== undefined && this.#open.inode === inodeOf(file)) return this.#open.database;
    this.close();
    const mask = process.umask(0o077);
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      const database = new DatabaseSync(file, { timeout: BUSY_MS });
      database.exec(
        `PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS ranges
           (start INTEGER PRIMARY KEY, home TEXT NOT NULL, instance TEXT NOT NULL, spent INTEGER NOT NULL DEFAULT 0) STRICT`,
      );
      addView(database);
      this.#open = { database, inode: inodeOf(file) ?? 0 };
      return database;
    } finally {
      process.umask(mask);
    }
  }

  close(): void {
    this.#open?.database.close();
    this.#open = undefined;
  }
}

/** Registries of versions before have no views; these go on with such a column. */
function addView(database: DatabaseSync): void {
  const has = () =>
    database.prepare("SELECT 1 FROM pragma_table_info('ranges') WHERE name = 'view'").get() !== undefined;
  if (has()) return;
  database.exec('BEGIN IMMEDIATE');
  if (!has()) database.exec("ALTER TABLE ranges ADD COLUMN view TEXT NOT NULL DEFAULT ''");
  database.exec('COMMIT');
}

const inodeOf = (file: string): number | undefined => statSync(file, { throwIfNoEntry: false })?.ino;

/** A spent range stays, as nobody's. */
function forget(database: DatabaseSync, home: string, instance: string): void {
  database.prepare('DELETE FROM ranges WHERE home = ? AND instance = ? AND spent = 0').run(home, instance);
  database.prepare("UPDATE ranges SET home = '', instance = '' WHERE home = ? AND instance = ?").run(home, instance);
}

/** The ids inside that /proc/PID/uid_map (user_namespaces(7)) has. */
export function parseIdMap(text: string): IdBlock[] {
  return text.split('\n').flatMap((line) => {
    const [inside, , count] = line.trim().split(/\s+/).map(Number);
    return inside === undefined || count === undefined || Number.isNaN(inside) ? [] : [{ start: inside, count }];
  });
}

/** By the real user id of every process. */
export function rangesInUse(procRoot = '/proc'): ReadonlySet<number> {
  const starts = new Set<number>();
  for (const pid of readdirSync(procRoot)) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const status = readFileSync(`${procRoot}/${pid}/status`, 'latin1');
      const uid = Number(/^Uid:\t(\d+)/m.exec(status)?.[1]);
      if (uid >= FIRST && !isOver(status)) starts.add(uid - ((uid - FIRST) % RANGE_IDS));
    } catch {
      // It has ended.
    }
  }
  return starts;
}

/** Of one that has ended and waits for its parent nothing is left but its number; where only its first thread has ended, the others go on. */
const isOver = (status: string): boolean => /^State:\tZ/m.test(status) && /^Threads:\t1$/m.test(status);
