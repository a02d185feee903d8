import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { LogLine } from './log-line.ts';
import { Allowance } from './log-pace.ts';
import { FileLog, LOG_BYTES } from './workload-log.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-unit-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const records = (path: string): LogLine[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const bytes = (record: LogLine) => (record.b === undefined ? Buffer.from(record.d!) : Buffer.from(record.b, 'base64'));

it('writes within the gathering time', () => {
  const clock = new ManualClock();
  const log = new FileLog(join(directory, 'log'), clock);
  log.write('out', Buffer.from('a'));
  log.write('out', Buffer.from('b'));
  expect(clock.pending()).toEqual([20]);
  clock.advance(20);
  expect(records(log.file.path).map((record) => record.d)).toEqual(['a', 'b']);
  log.close();
});

it('puts split characters together and keeps bytes that are no text', () => {
  const log = new FileLog(join(directory, 'log'), new ManualClock());
  const euro = Buffer.from('€');
  log.write('out', euro.subarray(0, 1));
  log.write('err', Buffer.from('between'));
  log.write('out', euro.subarray(1));
  log.write('out', Buffer.from([0xff, 0xfe]));
  log.write('out', euro.subarray(0, 2));
  log.close();
  const read = records(log.file.path);
  expect(read.map((record) => record.d ?? record.b)).toEqual(['between', '€', '//4=', '4oI=']);
});

it('writes records as JSON.stringify() does, in pieces of 64 KiB', () => {
  const clock = new ManualClock();
  const log = new FileLog(join(directory, 'log'), clock);
  const t = new Date(clock.now()).toISOString();
  const ascii = String.fromCharCode(...Array.from({ length: 128 }, (_, code) => code));
  const texts = [ascii, 'é€😀\u2028\u202e\ufeff', ascii.repeat(300), '\0'.repeat(65_536)];
  for (const text of texts) log.write('err', Buffer.from(text));
  const long = Buffer.concat([Buffer.from('x'), Buffer.from('€'.repeat(50_000))]);
  log.write('out', long);
  log.write('out', Buffer.alloc(70_000, 0xff));
  log.close();
  const lines = readFileSync(log.file.path, 'utf8').split('\n');
  for (const [index, d] of texts.entries()) expect(lines[index] === JSON.stringify({ t, s: 'err', d })).toBe(true);
  const rest = records(log.file.path).slice(texts.length);
  expect(rest.map((record) => bytes(record).length)).toEqual([65_536, 65_535, 18_930, 65_536, 4464]);
  expect(Buffer.concat(rest.slice(0, 3).map(({ d }) => Buffer.from(d!))).equals(long)).toBe(true);
});

it('tells of what was lost before the next piece, and keeps that whole', () => {
  const log = new FileLog(join(directory, 'none', 'log'), new ManualClock());
  const piece = Buffer.alloc(65_536, 'x');
  log.write('out', piece);
  mkdirSync(join(directory, 'none'));
  log.write('out', piece);
  log.close();
  const [lost, kept] = records(log.file.path);
  expect(lost).toMatchObject({ s: 'err', d: expect.stringContaining('1 pieces of output were lost') });
  expect(kept?.d === piece.toString()).toBe(true);
});

it('ends a last line that has no end, text or not, before another run begins', () => {
  const log = new FileLog(join(directory, 'log'), new ManualClock());
  for (const run of [[0xff], [0x61], [0xff, 0x0a], [0xc3]]) {
    log.begin();
    log.write('out', Buffer.from(run));
  }
  log.begin();
  log.close();
  const all = Buffer.concat(records(log.file.path).map(bytes));
  expect([...all]).toEqual([0xff, 0x0a, 0x61, 0x0a, 0xff, 0x0a, 0xc3, 0x0a]);
});

it('keeps every byte, however it is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 20 }),
      fc.string({ unit: 'grapheme' }),
      (chunks, text) => {
        const path = join(directory, 'log');
        rmSync(path, { force: true });
        const log = new FileLog(path, new ManualClock());
        const all = [...chunks, ...cut(Buffer.from(text))];
        for (const chunk of all) log.write('out', Buffer.from(chunk));
        log.close();
        const kept = all.length === 0 ? [] : records(path).map(bytes);
        expect(Buffer.concat(kept).equals(Buffer.concat(all))).toBe(true);
      },
    ),
    { numRuns: 200 },
  );
});

const cut = (data: Buffer): Buffer[] =>
  Array.from({ length: Math.ceil(data.length / 3) }, (_, index) => data.subarray(index * 3, index * 3 + 3));

/** More than is written by then. */
const MOST = 2 ** 28;

it('is written at a pace, however many streams there are, and keeps what it may keep at once', async () => {
  const clock = new ManualClock();
  const shared = new Allowance();
  const logs = ['one', 'two'].map((name) => new FileLog(join(directory, name), clock, LOG_BYTES, shared));
  const piece = Buffer.alloc(65_536, 'x');
  let written = 0;
  let isOver = false;
  for (const log of logs)
    for (const stream of ['out', 'err'] as const)
      void (async () => {
        while (!isOver && written < MOST) {
          written += piece.length;
          if (log.write(stream, piece)) continue;
          await log.drained();
        }
      })();
  // What each may have saved up, and all together.
  expect(written / 2 ** 20).toBeGreaterThan(47);
  expect(written / 2 ** 20).toBeLessThan(49);
  const before = written;
  for (let turns = 0; turns < 800; turns++) {
    clock.advance(5);
    await turn();
  }
  isOver = true;
  expect((written - before) / 2 ** 20 / 4).toBeLessThan(19);
  expect((written - before) / 2 ** 20 / 4).toBeGreaterThan(10);
  for (const log of logs) log.close();
});

it('is written at once where little is printed beside one that prints without end', () => {
  const clock = new ManualClock();
  const shared = new Allowance();
  const [flood, other] = ['flood', 'other'].map((name) => new FileLog(join(directory, name), clock, LOG_BYTES, shared));
  let written = 65_536;
  while (flood!.write('out', Buffer.alloc(65_536, 'x')) && written < MOST) written += 65_536;
  expect(written).toBeLessThan(MOST);
  for (let lines = 0; lines < 10_000; lines++) expect(other!.write('out', Buffer.from('a line\n'))).toBe(true);
  for (const log of [flood!, other!]) log.close();
});
