import { expect, it } from 'vitest';
import type { LogLine } from '../../instance/contract.ts';
import { before, instant } from './log-times.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');

it.each([
  ['10m', '2026-11-27T11:50:00.000Z'],
  ['2026-11-27T10:00:00+01:00', '2026-11-27T09:00:00.000Z'],
  ['1764244800', '2025-11-27T12:00:00.000Z'],
  ['1764244800.5', '2025-11-27T12:00:00.500Z'],
])('%s is %s', (text, time) => {
  expect(instant(text, '--since', NOW)).toBe(time);
});

it('what is no time is told with its option', () => {
  expect(() => instant('yesterday', '--until', NOW)).toThrow(/--until: "yesterday" is neither a duration nor a time/);
});

async function* of(times: readonly string[], after?: Promise<never>): AsyncGenerator<LogLine> {
  for (const t of times) yield { t, s: 'out', d: 'x' };
  if (after !== undefined) await after;
}

const collect = async (lines: AsyncIterable<LogLine>) => (await Array.fromAsync(lines)).map(({ t }) => t);

it('lines end with the first that comes at the time or later', async () => {
  const times = ['2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z', '2026-01-03T00:00:00.000Z'];
  expect(await collect(before(of(times), Date.parse(times[2]!)))).toEqual(times.slice(0, 2));
  expect(await collect(before(of(times), Date.parse('2026-02-01')))).toEqual(times);
  // A console's lines have no times.
  expect(await collect(before(of(['', '']), Date.parse('2026-02-01')))).toEqual(['', '']);
});

it('what never comes is waited for until then', async () => {
  const { promise } = Promise.withResolvers<never>();
  expect(await collect(before(of([''], promise), Date.now() + 50))).toEqual(['']);
});
