import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { userHomes } from './user-homes.ts';

let base: string;
let all: string;
const make = (name: string): string => {
  const path = join(base, name);
  mkdirSync(path);
  return path;
};
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'pk-homes-'));
  all = join(base, 'state/polykernel');
});
afterEach(() => rmSync(base, { recursive: true }));

it('tells each daemon of a user of the others, also of those that began later', async () => {
  const [a, b] = [make('a'), make('b')];
  const [ofA, ofB, ofAll] = [await userHomes(a, all), await userHomes(b, all), await userHomes(all, all)];
  expect(ofA()).toEqual([all, b]);
  expect(ofB()).toEqual([all, a]);
  expect(ofAll().sort()).toEqual([a, b]);
  rmSync(all, { recursive: true });
  ofA();
  expect(ofB()).toEqual([all, a]);
});

it('keeps no note of one that is gone', async () => {
  const [a, b] = [make('a'), make('b')];
  await userHomes(a, all);
  rmSync(a, { recursive: true });
  expect((await userHomes(b, all))()).toEqual([all]);
  expect(readdirSync(join(all, 'homes'))).toHaveLength(2);
});

it('keeps the note of one that is gone for a daemon with other namespaces, where other files are', async () => {
  const [a, b] = [make('a'), make('b')];
  await userHomes(a, all, { boot: 'one', namespaces: 'mnt:[1] pid:[1]' });
  rmSync(a, { recursive: true });
  expect((await userHomes(b, all, { boot: 'one', namespaces: 'mnt:[2] pid:[2]' }))()).toEqual([all, a]);
  expect((await userHomes(b, all, { boot: 'two', namespaces: 'mnt:[2] pid:[2]' }))()).toEqual([all]);
});

it('believes nothing where others can write, and needs no home directory', async () => {
  const [a, b] = [make('a'), make('b')];
  mkdirSync(all, { recursive: true });
  chmodSync(join(base, 'state'), 0o777);
  await userHomes(a, all);
  expect((await userHomes(b, all))()).toEqual([all]);
  chmodSync(join(base, 'state'), 0o755);
  symlinkSync(a, join(all, 'homes'));
  expect((await userHomes(b, all))()).toEqual([all]);
  expect(readdirSync(a)).toEqual([]);
  expect((await userHomes(b, null))()).toEqual([]);
});
