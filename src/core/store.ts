/**
 * Desired and last known state, in SQLite. Opening takes an exclusive lock on the database that the kernel drops with the
 * process, however it ends: that lock is what makes this daemon the only one of its state directory.
 */
import { closeSync, existsSync, fdatasync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import type { Layout } from '../sys/paths.ts';
import { makeFile } from '../sys/places.ts';
import { inTransaction, Table, type TableDefinition } from './table.ts';

/** For versions that counted all tables' changes together, up to 3: so that they leave alone what they cannot read. */
const FORMAT = 4;
/** Event numbers are reserved in blocks, to spare a write per event; a crash leaves a gap of at most this many. */
const SEQUENCE_BLOCK = 1024;

const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

export class Store {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #setMeta: StatementSync;
  readonly #changes: StatementSync;
  #sequence: number;
  #reserved: number;
  /** SQLite's, as settled() has it. */
  #log: number | undefined;
  /** Whether the directory that has both is on the disk. */
  #isNamed = false;
  #safe = 0;
  #saving: Promise<void> | undefined;

  private constructor(database: DatabaseSync, path: string) {
    this.#database = database;
    this.#path = path;
    this.#changes = database.prepare('SELECT total_changes() AS changes');
    this.#setMeta = database.prepare(
      'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    );
    this.#sequence = Number(this.#meta('sequence') ?? 0);
    this.#reserved = this.#sequence;
  }

  /**
   * Opens or creates the database and locks it.
   * Throws `conflict` naming the pid of the daemon that has it, or `internal` naming a damaged file and the remedy.
   */
  static open(paths: Layout): Store {
    let database: DatabaseSync | undefined;
    try {
      makeFile(paths.database);
      database = new DatabaseSync(paths.database);
      const store = Store.#begin(database, paths.database);
      writeFileSync(paths.lock, `${process.pid}\n`, { mode: 0o600 });
      return store;
    } catch (error) {
      database?.close();
      throw openError(paths, error);
    }
  }

  static #begin(database: DatabaseSync, path: string): Store {
    database.exec(
      'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -512',
    );
    // In exclusive mode the first write takes the lock for good.
    database.exec(
      'BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT; COMMIT',
    );
    const format = formatOf(database, path);
    const [{ quick_check: check } = {}] = database.prepare('PRAGMA quick_check(1)').all();
    if (check !== 'ok') throw damaged(path, String(check));
    const store = new Store(database, path);
    if (format !== FORMAT) database.exec(`PRAGMA user_version = ${FORMAT}`);
    return store;
  }

  /**
   * Moves a damaged database aside, so that the next open() starts with none. Returns where it went.
   * Throws `conflict` when a daemon uses it.
   */
  static reset(paths: Layout, now: Date): string | undefined {
    if (!existsSync(paths.database)) return undefined;
    try {
      Store.open(paths).close();
    } catch (error) {
      if (error instanceof PolykernelError && error.code === 'conflict') throw error;
    }
    const aside = `${paths.database}.damaged-${now.toISOString().replace(/[:.]/g, '-')}`;
    renameSync(paths.database, aside);
    for (const suffix of ['-wal', '-shm', '-journal']) {
      if (existsSync(paths.database + suffix)) renameSync(paths.database + suffix, aside + suffix);
    }
    return aside;
  }

  /** Makes the table if it is not there. Throws `unavailable` when a later version wrote to it, and what SQLite throws. */
  table<R extends { id: string }>(definition: TableDefinition<R>): Table<R> {
    return new Table(this.#database, definition);
  }

  /** Does all that `action` writes, or nothing. Throws `internal` when it cannot be written. */
  transaction(action: () => void): void {
    inTransaction(this.#database, action);
  }

  /** A single thing that is kept under `key`; null when there is none. `what` is for messages. */
  value<T>(key: string, what: string): { get(): T | null; put(value: T | null): void } {
    return {
      get: () => {
        const text = this.#meta(key);
        try {
          return text === undefined ? null : (JSON.parse(text) as T | null);
        } catch (error) {
          throw asPolykernelError(error, `reading ${what}`);
        }
      },
      put: (value) => {
        try {
          this.#setMeta.run(key, JSON.stringify(value));
        } catch (error) {
          throw asPolykernelError(error, 'writing the state database');
        }
      },
    };
  }

  /** The next event's number: grows by one per event; after a crash there may be a gap. */
  nextSequence(): number {
    if (this.#sequence === this.#reserved) {
      this.#reserved += SEQUENCE_BLOCK;
      try {
        this.#setMeta.run('sequence', String(this.#reserved));
      } catch {
        // A full disk must not stop events; numbers may come again after a crash now.
      }
    }
    this.#sequence += 1;
    return this.#sequence;
  }

  /** Without `farewell` the number of the last event is not kept, as after SIGKILL. */
  close(farewell = true): void {
    try {
      if (farewell) this.#setMeta.run('sequence', String(this.#sequence));
    } catch {
      // A gap then.
    }
    this.#database.close();
    this.#safe = Number.POSITIVE_INFINITY;
    if (this.#log !== undefined) closeSync(this.#log);
  }

  /**
   * Resolves when all that is written so far is on the disk. SQLite in this mode leaves its log to the kernel, so that what this
   * daemon does survives it and never a power cut; an answer says that it does. Rejects with `internal` when the disk refuses.
   */
  async settled(): Promise<void> {
    const written = this.#written();
    while (this.#safe < written) {
      this.#saving ??= this.#save().finally(() => {
        this.#saving = undefined;
      });
      await this.#saving;
    }
  }

  async #save(): Promise<void> {
    const written = this.#written();
    try {
      this.#log ??= openSync(`${this.#path}-wal`, 'r');
      await promisify(fdatasync)(this.#log);
      // The log is new, and so may the database be, and their names are in neither.
      if (!this.#isNamed) await syncDirectory(dirname(this.#path));
      this.#isNamed = true;
    } catch (error) {
      // One that was closed meanwhile is on the disk.
      if (this.#database.isOpen) throw asPolykernelError(error, 'writing the state database');
    }
    this.#safe = Math.max(this.#safe, written);
  }

  /** Rows that were changed since it was opened; of a closed one none is left. */
  #written(): number {
    return this.#database.isOpen ? Number(this.#changes.get()!.changes) : 0;
  }

  #meta(key: string): string | undefined {
    return this.#database.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.value as string | undefined;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function formatOf(database: DatabaseSync, path: string): number {
  const format = Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0);
  if (format <= FORMAT) return format;
  throw new PolykernelError(
    'unavailable',
    `${path} was written by a newer Polykernel (format ${format}, this one knows ${FORMAT})`,
    { hint: 'Update this Polykernel, or set POLYKERNEL_HOME to another directory.' },
  );
}

function openError(paths: Layout, error: unknown): PolykernelError {
  if (error instanceof PolykernelError) return error;
  const code = (error as { errcode?: number }).errcode;
  const primary = code === undefined ? undefined : code & 0xff;
  if (primary === SQLITE_BUSY) {
    const pid = holder(paths.lock);
    return new PolykernelError(
      'conflict',
      `a daemon ${pid === undefined ? '' : `(pid ${pid}) `}already runs for ${paths.home}`,
      {
        field: 'home',
        value: paths.home,
        hint: 'Use that one, end it with SIGTERM, or set POLYKERNEL_HOME to another directory.',
      },
    );
  }
  if (primary === SQLITE_CORRUPT || primary === SQLITE_NOTADB || /no such table|no such column/.test(String(error))) {
    return damaged(paths.database, (error as Error).message);
  }
  return asPolykernelError(error, `opening the state database ${paths.database}`);
}

function damaged(path: string, reason: string): PolykernelError {
  return new PolykernelError('internal', `the state database ${path} is damaged: ${reason}`, {
    hint: 'Move it aside and start with an empty one: pk daemon --reset-state. Instances it knew are ended then.',
  });
}

function holder(lock: string): number | undefined {
  try {
    const pid = Number(readFileSync(lock, 'latin1'));
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Removes what says who holds the directory; for an orderly end. */
export function forgetHolder(paths: Layout): void {
  rmSync(paths.lock, { force: true });
}
