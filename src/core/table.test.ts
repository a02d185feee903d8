import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inTransaction, type OldRecord, Table, type TableDefinition } from './table.ts';

interface Cat {
  id: string;
  name: string;
  lives: number;
}

const definition = (...migrations: TableDefinition<Cat>['migrations']): TableDefinition<Cat> => ({
  name: 'cats',
  nameOf: ({ name }) => name,
  migrations,
});

let database: DatabaseSync;
let told: [id: string, name: string, message: string][];
const tell = (id: string, name: string, error: unknown) => told.push([id, name, (error as Error).message]);
const insert = (id: string, name: string, record: string) =>
  database.prepare('INSERT INTO cats (id, name, record) VALUES (?, ?, ?)').run(id, name, record);

beforeEach(() => {
  database = new DatabaseSync(':memory:');
  told = [];
});
afterEach(() => database.close());

test('records come back as they were put, in the order in which they came', () => {
  const table = new Table(database, definition());
  for (const name of ['tom', 'kit', 'ada']) table.put({ id: `id-${name}`, name, lives: 9 });
  table.put({ id: 'id-kit', name: 'kit', lives: 8 });
  table.delete('id-tom');
  table.delete('nobody');
  const all = new Table(database, definition()).all(tell);
  expect(all).toEqual([
    { id: 'id-kit', name: 'kit', lives: 8 },
    { id: 'id-ada', name: 'ada', lives: 9 },
  ]);
  expect(told).toEqual([]);
});

test('a row goes through the migrations it has not been through, in order, and each only once', () => {
  const first = (cat: OldRecord) => ({ ...cat, lives: 9 });
  const second = (cat: OldRecord) => ({ ...cat, lives: cat.lives * 10 });
  // As it was before migrations were counted.
  database.exec('CREATE TABLE cats (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL) STRICT');
  insert('1', 'old', '{"id":"1","name":"old"}');
  const table = new Table(database, definition(first));
  expect(table.all(tell)).toEqual([{ id: '1', name: 'old', lives: 9 }]);
  table.put({ id: '2', name: 'new', lives: 7 });
  const later = new Table(database, definition(first, second));
  expect(later.all(tell)).toEqual([
    { id: '1', name: 'old', lives: 90 },
    { id: '2', name: 'new', lives: 70 },
  ]);
  for (const cat of later.all(tell)) later.put(cat);
  expect(later.all(tell).map(({ lives }) => lives)).toEqual([90, 70]);
  expect(told).toEqual([]);
});

test.each([
  ['no JSON', '{"id":"bad"'],
  ['no object', '[]'],
  ['null', 'null'],
  ['of another id', '{"id":"other","name":"bad"}'],
  ['of another name', '{"id":"bad","name":"good"}'],
  ['what a migration does not understand', '{"id":"bad","name":"bad"}'],
])('a row that is %s is told and left out, and its name can be had again', (_, text) => {
  const picky = (cat: OldRecord) => ({ ...cat, lives: cat.body.lives });
  const table = new Table(database, definition(picky));
  insert('bad', 'bad', text);
  insert('good', 'good', '{"id":"good","name":"good","body":{"lives":9}}');
  expect(table.all(tell)).toMatchObject([{ id: 'good', lives: 9 }]);
  expect(told).toMatchObject([['bad', 'bad', expect.any(String)]]);
  table.put({ id: 'anew', name: 'bad', lives: 1 });
  told = [];
  expect(table.all(tell).map(({ id }) => id)).toEqual(['good', 'anew']);
  expect(told).toEqual([]);
});

test('what a later version wrote is left alone', () => {
  new Table(
    database,
    definition((cat) => cat),
  ).put({ id: '1', name: 'tom', lives: 9 });
  expect(() => new Table(database, definition())).toThrow(/cats was written by a newer Polykernel/);
});

test('a transaction over tables writes all or nothing', () => {
  const cats = new Table(database, definition());
  const dogs = new Table(database, { ...definition(), name: 'dogs' });
  const cat = { id: '1', name: 'tom', lives: 9 };
  expect(() =>
    inTransaction(database, () => {
      cats.put(cat);
      dogs.put({ ...cat, id: null as unknown as string });
    }),
  ).toThrow(/writing the state database failed/);
  expect([...cats.all(tell), ...dogs.all(tell)]).toEqual([]);
  inTransaction(database, () => {
    cats.put(cat);
    dogs.put(cat);
  });
  expect([...cats.all(tell), ...dogs.all(tell)]).toEqual([cat, cat]);
});
