import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { instanceStats } from '../../../test/support/stats.ts';
import { COLUMNS, seriesCsv, seriesText, sparkline, statsCsv, statsDetails, statsTable } from './stats-text.ts';
import { draw, initialState, keysOf, sorted, type TopState, update, withKey, withStats } from './top-view.ts';

const host = (cpu: number) => ({ ...instanceStats().host!, cpu });
const three = ['a', 'b', 'c'].map((name, index) => instanceStats({ name, id: name, host: host([1, 2, 0.5][index]!) }));
const state = (change: Partial<TopState> = {}): TopState => ({
  ...withStats(initialState(), three, '10:00:00'),
  ...change,
});
const names = (top: TopState) => sorted(top).map(({ name }) => name);
const typed = (top: TopState, keys: string) => {
  let now = top;
  for (const key of keysOf(keys)) {
    const next = withKey(now, key);
    if (next === 'quit') return 'quit';
    now = next;
  }
  return now;
};

describe('keys', () => {
  it.each(['q', '\x03', '\x1b[Aq'])('%j ends', (keys) => expect(typed(state(), keys)).toBe('quit'));
  it('arrows choose the column, r turns the order round', () => {
    expect(names(state())).toEqual(['b', 'a', 'c']);
    expect(names(typed(state(), 'r') as TopState)).toEqual(['c', 'a', 'b']);
    expect(names(typed(state(), 'n') as TopState)).toEqual(['a', 'b', 'c']);
    const left = typed(state(), '\x1b[D') as TopState;
    expect(COLUMNS[left.sort]?.title).toBe('CPU');
    expect(COLUMNS[(typed(left, '\x1b[D\x1b[D\x1b[D') as TopState).sort]?.title).toBe('RESTARTS');
  });
  it('up and down select, and the selection stays on its instance', () => {
    const down = typed(state(), '\x1b[B\x1b[B') as TopState;
    expect(down.selected).toBe('a');
    expect((typed(down, 'r\x1b[B') as TopState).selected).toBe('b');
    expect((typed(down, '\x1b[B\x1b[B\x1b[B') as TopState).selected).toBe('c');
    expect((withKey(state({ stats: [] }), '\x1b[B') as TopState).selected).toBeUndefined();
  });
  it('others do nothing', () => {
    const before = state();
    for (const key of keysOf('xyz\x1b[15~é\x1b')) expect(withKey(before, key)).toBe(before);
    expect(keysOf('\x1b[Aq\x1bOB')).toEqual(['\x1b[A', 'q', '\x1bOB']);
  });
});

describe('the screen', () => {
  it('has exactly its lines, none wider than it, at any size', () => {
    for (const [rows, columns] of [
      [24, 80],
      [10, 200],
      [3, 20],
      [1, 1],
      [4, 120],
    ] as const) {
      const lines = draw(state({ selected: 'a' }), { rows, columns });
      expect(lines).toHaveLength(rows);
      for (const line of lines) expect(stripVTControlCharacters(line).length).toBeLessThanOrEqual(columns);
    }
  });
  it('shows instances sorted, with their course', () => {
    const lines = draw(state(), { rows: 8, columns: 200 }, false);
    expect(lines[0]).toMatch(/^pk top {2}10:00:00 {2}3 of 3 running {2}host CPU 356%/);
    expect(lines[1]).toContain('HOST▼');
    expect(lines.slice(2, 5).map((line) => line[0])).toEqual(['b', 'a', 'c']);
    expect(lines[2]).toMatch(/█$/);
  });
  it('says below the rows which keys there are, and above that what moved last', () => {
    const last = (change: Partial<TopState>) => draw(state(change), { rows: 10, columns: 90 }, false).slice(-2);
    expect(last({})).toEqual(['', 'q quit  ←→ sort by  r reverse  ↑↓ select  c h m n: CPU HOST MEMORY NAME']);
    const moved = `10:00:00 UTC  1 CPU from a to b: \x1b[31mit waits ${'x'.repeat(90)}`;
    const [above, below] = last({ moved });
    expect(above).toMatch(/^10:00:00 UTC {2}1 CPU from a to b: .*it waits x+$/);
    expect(above).not.toContain('\x1b');
    expect(above).toHaveLength(90);
    expect(below).toMatch(/^q quit/);
  });
  it('follows the selection when there are more than fit', () => {
    const stats = Array.from({ length: 50 }, (_, at) =>
      instanceStats({ name: `i${String(at).padStart(2, '0')}`, id: `${at}` }),
    );
    const many = withStats({ ...initialState(), selected: 'i49' }, stats, '');
    const lines = draw(many, { rows: 10, columns: 100 }, false);
    expect(lines[8]).toMatch(/^i49/);
    expect(lines[2]).toMatch(/^i43/);
  });
  it('writes only what has changed', () => {
    expect(update(['a', 'b'], ['a', 'c'])).toBe('\x1b[2;1Hc\x1b[K');
    expect(update(['a'], ['a'])).toBe('');
    expect(update(undefined, ['a'])).toBe('\x1b[H\x1b[J\x1b[1;1Ha\x1b[K');
  });
  it('keeps a course of bounded length, and forgets what is gone', () => {
    let top = state();
    for (let at = 0; at < 100; at++) top = withStats(top, three.slice(0, 1), '');
    expect([...top.history.keys()]).toEqual(['a']);
    expect(top.history.get('a')).toHaveLength(30);
  });
});

describe('text', () => {
  it('sparklines', () => {
    expect(sparkline([0, 1, 2, null, 99], 2)).toBe('▁▅█ █');
    expect(sparkline([0, 0])).toBe('▁▁');
  });
  it('of a table: guest and host beside each other', () => {
    const [head, row] = statsTable([instanceStats()]).split('\n');
    expect(head?.split(/ {2,}/).slice(0, 5)).toEqual(['NAME', 'STATE', 'CPU', 'HOST', 'DELAY']);
    expect(row?.split(/ {2,}/).slice(0, 5)).toEqual(['web', 'running', '100%', '150%', '10%']);
    expect(statsTable([instanceStats({ guest: null, host: null })])).toMatch(/web +running +- +- +-/);
  });
  it('of one instance: what the host gave above what the guest accounts', () => {
    const text = statsDetails(instanceStats());
    expect(text).toMatch(/cpu \(host\) +150% used, 10% withheld, 50% above what the guest accounts/);
    expect(text).toMatch(/by the run queue/);
    expect(text).toMatch(/channel orders +recv: 512 B of 4 KiB/);
    expect(statsDetails(instanceStats({ guest: null, host: null, channels: [] }))).toMatch(/guest +nothing heard/);
  });
  it('of a series, and as CSV', () => {
    const series = {
      ...{ name: 'web', id: 'a', stepSeconds: 10, times: [0, 10] },
      values: { cpuBusy: [0.5, null] },
      peaks: { cpuBusy: [1, null] },
    };
    expect(seriesText(series)).toMatch(
      /web: 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:20.000Z, steps of 10s\n[^\n]+\ncpuBusy +█ +50% +100%/,
    );
    expect(seriesText({ ...series, times: [] })).toMatch(/nothing was measured/);
    expect(seriesCsv(series)).toBe('time,cpuBusy\n1970-01-01T00:00:00.000Z,0.5\n1970-01-01T00:00:10.000Z,\n');
    expect(statsCsv([instanceStats()])).toMatch(/^2026-11-23T10:00:00.000Z,web,running,1,0.5,0.25,/);
  });
});
