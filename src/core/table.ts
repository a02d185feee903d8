/**
 * Records in SQLite, one JSON text a row. Each row says how many of its table's migrations it has been through, so that one
 * written by an earlier version is brought up to date when it is read, and one that cannot be read harms no other.
 *
 * To add one: append a function to the table's list that takes a record as the version before wrote it and gives it as it is
 * to be now. It sees JSON of any age, so it uses no type of today, and it is never changed or taken away again.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';

/** A record as some version wrote it. */
// biome-ignore lint/suspicious/noExplicitAny: nobody knows the types of the past
export type OldRecord = Record<string, any>;
export type Migration = (record: OldRecord) => OldRecord;

export interface TableDefinition<R extends { id: string }> {
  /** In SQL; a constant of the source. */
  name: string;
  /** What people call a record; unique. */
  nameOf: (record: R) => string;
  /** In order. A row of version n has been through the first n. */
  migrations: readonly Migration[];
  /** Adds what a record of today has and this one lacks, where a default will do. */
  complete?: (record: OldRecord) => OldRecord;
}

/** What a capability needs of its table. */
export type Records<R extends { id: string }> = Pick<Table<R>, 'all' | 'put' | 'delete'>;

/** Told of a row that is left out: its id, its name and why. */
export type OnUnreadable = (id: string, name: string, error: unknown) => void;

export class Table<R extends { id: string }> {
  readonly #database: DatabaseSync;
  readonly #definition: TableDefinition<R>;
  readonly #all: StatementSync;
  readonly #put: StatementSync;
  readonly #giveWay: StatementSync;
  readonly #delete: StatementSync;

  /** Makes the table if it is not there. Throws `unavailable` when a later version wrote to it, and what SQLite throws. */
  constructor(database: DatabaseSync, definition: TableDefinition<R>) {
    const { name, migrations } = definition;
    this.#database = database;
    this.#definition = definition;
    makeTable(database, name);
    const newest = Number(database.prepare(`SELECT max(version) AS version FROM ${name}`).get()?.version ?? 0);
    if (newest > migrations.length) throw newer(name, newest, migrations.length);
    this.#all = database.prepare(`SELECT id, name, version, record FROM ${name} ORDER BY rowid`);
    this.#put = database.prepare(
      `INSERT INTO ${name} (id, name, version, record) VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, record = excluded.record`,
    );
    this.#giveWay = database.prepare(`DELETE FROM ${name} WHERE name = ? AND id <> ?`);
    this.#delete = database.prepare(`DELETE FROM ${name} WHERE id = ?`);
  }

  /** All records, the oldest row first, as today's version has them. One that cannot be read is left out and told. */
  all(onUnreadable: OnUnreadable): R[] {
    return this.#all.all().flatMap((row) => {
      try {
        return [this.#read(row)];
      } catch (error) {
        onUnreadable(String(row.id), String(row.name), error);
        return [];
      }
    });
  }

  /**
   * Whoever has the table's records keeps their names unique: a row of another id with this name is an earlier form of the
   * record, or could not be read, and gives way. Throws `internal` when it cannot be written (disk full).
   */
  put(record: R): void {
    const { nameOf, migrations } = this.#definition;
    inTransaction(this.#database, () => {
      this.#giveWay.run(nameOf(record), record.id);
      this.#put.run(record.id, nameOf(record), migrations.length, JSON.stringify(record));
    });
  }

  /** Nothing happens when there is none. Throws as put() does. */
  delete(id: string): void {
    inTransaction(this.#database, () => this.#delete.run(id));
  }

  /** Several at once, or none of them. Throws as put() does. */
  change(put: readonly R[], remove: readonly string[] = []): void {
    inTransaction(this.#database, () => {
      for (const record of put) this.put(record);
      for (const id of remove) this.delete(id);
    });
  }

  #read(row: Record<string, unknown>): R {
    let record = asRecord(JSON.parse(String(row.record)));
    for (const migrate of this.#definition.migrations.slice(Number(row.version))) record = asRecord(migrate(record));
    record = this.#definition.complete?.(record) ?? record;
    if (record.id !== row.id || this.#definition.nameOf(record as R) !== row.name)
      throw new TypeError('its id and name are not those of its row');
    return record as R;
  }
}

/** Does all that `action` writes, or nothing; within another transaction, as a part of that. Throws `internal` when it cannot be written. */
export function inTransaction(database: DatabaseSync, action: () => void): void {
  const isOuter = !database.isTransaction;
  try {
    if (isOuter) database.exec('BEGIN IMMEDIATE');
    action();
    if (isOuter) database.exec('COMMIT');
  } catch (error) {
    if (isOuter && database.isTransaction) database.exec('ROLLBACK');
    throw asPolykernelError(error, 'writing the state database');
  }
}

/** Before migrations were counted (schema 3 and below) a table had no version: what is in it is of version 0. */
function makeTable(database: DatabaseSync, name: string): void {
  const columns = database.prepare(`PRAGMA table_info(${name})`).all();
  if (columns.some((column) => column.name === 'version')) return;
  const version = 'version INTEGER NOT NULL DEFAULT 0';
  database.exec(
    columns.length === 0
      ? `CREATE TABLE ${name} (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL, ${version}) STRICT`
      : `ALTER TABLE ${name} ADD COLUMN ${version}`,
  );
}

function asRecord(value: unknown): OldRecord {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new TypeError(`it is no record: ${JSON.stringify(value)?.slice(0, 40)}`);
}

const newer = (table: string, found: number, known: number): PolykernelError =>
  new PolykernelError(
    'unavailable',
    `the table ${table} was written by a newer Polykernel (version ${found}, this one knows ${known})`,
    { hint: 'Update this Polykernel, or set POLYKERNEL_HOME to another directory.' },
  );
