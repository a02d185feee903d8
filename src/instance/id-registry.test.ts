import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type IdBlock, RANGE_IDS } from '../sys/identity.ts';
import { defaultHome } from '../sys/paths.ts';
import { IdRegistry, type IdRegistryOptions, parseIdMap, rangesInUse } from './id-registry.ts';

const FIRST = 0x7100_0000;
const LAST = 0x7ffd_0000;
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-ids-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const registry = (home = directory, options: IdRegistryOptions = {}) =>
  new IdRegistry(home, {
    file: join(directory, 'private/ids.db'),
    taken: () => [],
    mappable: () => [{ start: 0, count: 2 ** 32 - 1 }],
    inUse: () => new Set(),
    ...options,
  });
const start = (identity: unknown) => (identity as IdBlock).start;

it('gives each kernel of each daemon a range of its own, and the same one again', () => {
  const [one, other] = [registry('/one'), registry('/other')];
  const starts = [one.take('a'), one.take('b'), other.take('a')].map(start);
  expect(new Set(starts).size).toBe(3);
  expect(start(one.take('a'))).toBe(starts[0]);
  expect(one.take('a')).toEqual({ kind: 'range', start: FIRST, count: RANGE_IDS });
});

it('keeps to itself what it writes down', () => {
  registry().take('a');
  expect(statSync(join(directory, 'private')).mode & 0o777).toBe(0o700);
  expect(statSync(join(directory, 'private/ids.db')).mode & 0o777).toBe(0o600);
});

it('gives a range out again, but never one whose ids may be on files', async () => {
  const ids = registry();
  const first = start(ids.take('a'));
  ids.release('a');
  expect(start(ids.take('b'))).toBe(first);
  ids.spend('b');
  ids.release('b');
  expect(start(ids.take('c'))).not.toBe(first);
  // Nor when its state directory is gone.
  await registry('/elsewhere').releaseAllBut(() => new Set());
  expect(start(ids.take('d'))).not.toBe(first);
});

it('gives nothing back of a daemon that has other namespaces, where other files and processes are, before the next boot', async () => {
  const inside = { boot: 'one', namespaces: 'mnt:[2] pid:[2]' };
  const outside = { boot: 'one', namespaces: 'mnt:[1] pid:[1]' };
  const one = registry('/gone', { view: outside });
  one.take('a');
  const other = registry('/other', { view: inside });
  await other.releaseAllBut(() => new Set());
  expect(other.homes()).toContain('/gone');
  expect(start(other.take('b'))).toBe(FIRST + RANGE_IDS);
  // One that goes on elsewhere is seen from there.
  await registry('/gone', { view: inside }).releaseAllBut(() => new Set(['a']));
  await registry('/third', { view: outside }).releaseAllBut(() => new Set());
  expect(other.homes()).toContain('/gone');
  await registry('/third', { view: { ...outside, boot: 'two' } }).releaseAllBut(() => new Set());
  expect(other.homes()).not.toContain('/gone');
});

it('gives nothing back of a daemon whose state directory has the same path in other namespaces', async () => {
  const inside = { boot: 'one', namespaces: 'mnt:[2] pid:[2]' };
  const outside = { boot: 'one', namespaces: 'mnt:[1] pid:[1]' };
  registry('/same', { view: outside }).take('a');
  const other = registry('/same', { view: inside });
  await other.releaseAllBut(() => new Set());
  expect(start(other.take('b'))).toBe(FIRST + RANGE_IDS);
  // It gives back what it sees as its own, and keeps what it has, wherever it had that from.
  await registry('/same', { view: outside }).releaseAllBut(() => new Set(['b']));
  expect(start(other.take('c'))).toBe(FIRST);
});

it('goes on with the registry of a version before, which goes on with it', async () => {
  mkdirSync(join(directory, 'private'));
  using before = new DatabaseSync(join(directory, 'private/ids.db'));
  before.exec(
    `CREATE TABLE ranges (start INTEGER PRIMARY KEY, home TEXT NOT NULL, instance TEXT NOT NULL,
       spent INTEGER NOT NULL DEFAULT 0) STRICT`,
  );
  const insert = before.prepare('INSERT INTO ranges (start, home, instance) VALUES (?, ?, ?)');
  insert.run(FIRST, '/before', 'a');
  const ids = registry();
  expect(start(ids.take('b'))).toBe(FIRST + RANGE_IDS);
  insert.run(FIRST + 2 * RANGE_IDS, '/before', 'b');
  await ids.releaseAllBut(() => new Set(['b']));
  expect(ids.homes()).not.toContain('/before');
});

it('goes on in the same file as others when somebody has removed it', () => {
  const [one, other] = [registry('/one'), registry('/other')];
  one.take('a');
  rmSync(join(directory, 'private'), { recursive: true });
  expect(start(other.take('a'))).toBe(FIRST);
  expect(start(one.take('b'))).toBe(FIRST + RANGE_IDS);
});

it('knows the other state directories in which there are kernels', () => {
  const [one, other] = [registry('/one'), registry('/other')];
  one.take('a');
  other.take('a');
  expect(one.homes()).toEqual([defaultHome(), '/other']);
  one.release('a');
  expect(other.homes()).toEqual([defaultHome()]);
  expect(registry(defaultHome()).homes()).toEqual(['/other']);
});

it('passes over what others have, and what this system cannot map', () => {
  const taken = () => [
    { start: FIRST + 10, count: 1 },
    { start: FIRST + RANGE_IDS * 2 - 1, count: 2 },
  ];
  expect(start(registry('/a', { taken }).take('x'))).toBe(FIRST + RANGE_IDS * 3);
  const mappable = () => parseIdMap(`         0          0 1000\n ${FIRST + 2 * RANGE_IDS} 5 ${RANGE_IDS}\n`);
  expect(start(registry('/b', { mappable }).take('x'))).toBe(FIRST + RANGE_IDS * 2);
  expect(() => registry('/c', { mappable: () => [{ start: 0, count: 65_536 }] }).take('x')).toThrow(
    /no range of user ids/,
  );
});

it('takes back what nobody has any more, and leaves what a process still uses', async () => {
  const used = new Set<number>();
  const gone = registry('/gone', { inUse: () => used });
  const [a, b] = [start(gone.take('a')), start(gone.take('b'))];
  used.add(b);
  const mine = registry(directory, { inUse: () => used });
  const [kept, lost] = [start(mine.take('kept')), start(mine.take('lost'))];
  await mine.releaseAllBut(() => new Set(['kept']));
  expect([mine.take('c'), mine.take('d')].map(start).sort()).toEqual([a, lost].sort());
  expect(start(mine.take('kept'))).toBe(kept);
  expect(start(gone.take('b'))).toBe(b);
});

it('never lets two have one id, whatever happens in which order', () => {
  const step = fc.record({
    home: fc.constantFrom('/x', '/y'),
    id: fc.constantFrom('a', 'b', 'c'),
    act: fc.constantFrom('take', 'release', 'spend'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      rmSync(join(directory, 'private'), { recursive: true, force: true });
      const held = new Map<string, number>();
      const spent = new Set<number>();
      for (const { home, id, act } of steps) {
        const ids = registry(home);
        const key = `${home}${id}`;
        if (act === 'take') {
          const given = start(ids.take(id));
          expect(given).toBeGreaterThanOrEqual(FIRST);
          expect(given).toBeLessThanOrEqual(LAST);
          if (held.has(key)) expect(given).toBe(held.get(key));
          else {
            expect([...held.values()]).not.toContain(given);
            expect(spent.has(given)).toBe(false);
          }
          held.set(key, given);
        } else if (act === 'spend') {
          ids.spend(id);
          if (held.has(key)) spent.add(held.get(key)!);
        } else {
          ids.release(id);
          held.delete(key);
        }
      }
    }),
    { numRuns: 15 },
  );
});

it('a range is in use while a thread of a process with it lives, and not while one that has ended waits for its parent', () => {
  const proc = join(directory, 'proc');
  const range = (index: number) => FIRST + index * RANGE_IDS;
  const processes: [state: string, threads: number, uid: number][] = [
    ['S (sleeping)', 1, range(0) + 5],
    ['Z (zombie)', 1, range(1)],
    ['Z (zombie)', 2, range(2)],
    ['S (sleeping)', 1, 1000],
  ];
  for (const [index, [state, threads, uid]] of processes.entries()) {
    mkdirSync(join(proc, String(index + 1)), { recursive: true });
    const text = `Name:\tlinux\nState:\t${state}\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\nThreads:\t${threads}\n`;
    writeFileSync(join(proc, String(index + 1), 'status'), text);
  }
  expect([...rangesInUse(proc)]).toEqual([range(0), range(2)]);
});
