/**
 * Measurements of days, in an SQLite database of their own. Nothing depends on it: one that cannot be used is begun anew,
 * and one that cannot be written is left alone. Its size has a bound.
 */
import { rmSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { makeFile } from '../sys/places.ts';
import type { Point } from './contract.ts';

const SCHEMA_VERSION = 1;
const PAGE_BYTES = 4096;
/** Of the database; its log adds up to 4 MiB. */
export const HISTORY_BYTES = 256 * 1024 * 1024;
const SQLITE_FULL = 13;

/** A step length and for how long its points are kept, in seconds. */
export interface Level {
  stepSeconds: number;
  keepSeconds: number;
}
export const FINE: Level = { stepSeconds: 10, keepSeconds: 24 * 3600 };
export const COARSE: Level = { stepSeconds: 300, keepSeconds: 31 * 24 * 3600 };

export interface StoredPoint {
  id: string;
  level: Level;
  point: Point;
}

export interface TelemetryStoreOptions {
  path: string;
  /** Names of the columns: a database with others is begun anew. */
  columns: readonly string[];
  /** Default 256 MiB. */
  maxBytes?: number;
  complain(text: string, error: unknown): void;
}

export class TelemetryStore {
  readonly #options: TelemetryStoreOptions;
  #database: DatabaseSync | undefined;
  #insert!: StatementSync;
  #complained = false;

  constructor(options: TelemetryStoreOptions) {
    this.#options = options;
    try {
      this.#open();
    } catch {
      this.#beginAnew();
    }
  }

  /** In one transaction; removes what is too old, and the oldest when there is no room. */
  put(points: readonly StoredPoint[], nowMs: number): void {
    if (points.length === 0) return;
    this.#try('keeping measurements', (database) => {
      try {
        this.#write(database, points, nowMs);
      } catch (error) {
        if ((error as { errcode?: number }).errcode !== SQLITE_FULL) throw error;
        database.exec(
          'DELETE FROM points WHERE rowid IN (SELECT rowid FROM points ORDER BY at LIMIT (SELECT count(*) / 8 + 1 FROM points))',
        );
        this.#write(database, points, nowMs);
      }
    });
  }

  /** Ascending; of steps that began at or after `sinceMs`. */
  read(id: string, level: Level, sinceMs: number): Point[] {
    const columns = this.#options.columns.length;
    return (
      this.#try('reading measurements', (database) =>
        database
          .prepare('SELECT at, data FROM points WHERE instance = ? AND step = ? AND at >= ? ORDER BY at')
          .all(id, level.stepSeconds, Math.ceil(sinceMs / 1000))
          .flatMap(({ at, data }) => {
            const bytes = data as Uint8Array;
            if (bytes.byteLength !== columns * 8) return [];
            // A copy: what SQLite gives need not be aligned.
            const numbers = new Float32Array(bytes.slice().buffer);
            return [{ atMs: Number(at) * 1000, mean: numbers.subarray(0, columns), peak: numbers.subarray(columns) }];
          }),
      ) ?? []
    );
  }

  forget(id: string): void {
    this.#try('removing measurements', (database) => database.prepare('DELETE FROM points WHERE instance = ?').run(id));
  }

  forgetAllBut(ids: ReadonlySet<string>): void {
    const known = this.#try('removing measurements', (database) =>
      database.prepare('SELECT DISTINCT instance FROM points').all(),
    );
    for (const { instance } of known ?? []) if (!ids.has(String(instance))) this.forget(String(instance));
  }

  /** Of the database, without its log. */
  bytes(): number {
    const pages = this.#try('measuring measurements', (database) => database.prepare('PRAGMA page_count').get());
    return Number(pages?.page_count ?? 0) * PAGE_BYTES;
  }

  close(): void {
    this.#database?.close();
    this.#database = undefined;
  }

  #write(database: DatabaseSync, points: readonly StoredPoint[], nowMs: number): void {
    database.exec('BEGIN');
    try {
      for (const { id, level, point } of points) {
        const data = new Float32Array(point.mean.length * 2);
        data.set(point.mean);
        data.set(point.peak, point.mean.length);
        this.#insert.run(id, level.stepSeconds, Math.round(point.atMs / 1000), new Uint8Array(data.buffer));
      }
      for (const { stepSeconds, keepSeconds } of new Set(points.map(({ level }) => level)))
        database
          .prepare('DELETE FROM points WHERE step = ? AND at < ?')
          .run(stepSeconds, Math.floor(nowMs / 1000) - keepSeconds);
      database.exec('COMMIT');
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  }

  #open(): void {
    const { path, columns, maxBytes = HISTORY_BYTES } = this.#options;
    makeFile(path);
    const database = new DatabaseSync(path);
    try {
      // Nothing is worth waiting for a disk: after a power failure it may be damaged, and is begun anew.
      database.exec(
        `PRAGMA page_size = ${PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -256;
         PRAGMA journal_size_limit = 4194304; PRAGMA wal_autocheckpoint = 256; PRAGMA busy_timeout = 0;
         PRAGMA max_page_count = ${Math.floor(maxBytes / PAGE_BYTES)}`,
      );
      const version = Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0);
      database.exec('CREATE TABLE IF NOT EXISTS meta (columns TEXT NOT NULL) STRICT');
      const kept = database.prepare('SELECT columns FROM meta').get()?.columns;
      if (version !== SCHEMA_VERSION || kept !== columns.join()) {
        database.exec(`
          BEGIN;
          DROP TABLE IF EXISTS points;
          DELETE FROM meta;
          CREATE TABLE points (instance TEXT NOT NULL, step INTEGER NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
          CREATE INDEX points_of ON points (instance, step, at);
          CREATE INDEX points_at ON points (step, at);
          PRAGMA user_version = ${SCHEMA_VERSION};
          COMMIT;
        `);
        database.prepare('INSERT INTO meta (columns) VALUES (?)').run(columns.join());
      }
      this.#insert = database.prepare('INSERT INTO points (instance, step, at, data) VALUES (?, ?, ?, ?)');
    } catch (error) {
      database.close();
      throw error;
    }
    this.#database = database;
  }

  #beginAnew(): void {
    this.close();
    const { path, complain } = this.#options;
    try {
      for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true });
      this.#open();
    } catch (error) {
      complain(`opening ${path}; measurements are kept in memory alone`, error);
    }
  }

  /** Undefined when it fails, which is told once. A damaged database is begun anew. */
  #try<T>(what: string, action: (database: DatabaseSync) => T): T | undefined {
    if (this.#database === undefined) return undefined;
    try {
      return action(this.#database);
    } catch (error) {
      const code = ((error as { errcode?: number }).errcode ?? 0) & 0xff;
      if (!this.#complained) this.#options.complain(what, error);
      this.#complained = true;
      // SQLITE_CORRUPT and SQLITE_NOTADB.
      if (code === 11 || code === 26) this.#beginAnew();
      return undefined;
    }
  }
}
