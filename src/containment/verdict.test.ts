import { expect, it } from 'vitest';
import { figuresOf, quantile, seriesOf } from './figures.ts';
import { parse } from './probe.ts';
import type { Figures, KernelReport } from './types.ts';
import { type Neighbour, type Seen, verdictOf } from './verdict.ts';

const FIGURES: Figures = { seconds: 1, requests: 9, errors: 0, p50Us: 10, p99Us: 100, worstUs: 200, heard: 3 };
const REPORT: KernelReport = {
  ...{
    name: 'db',
    instance: 'trial-db',
    role: 'neighbour',
    driver: 'uml',
    bootIdBefore: 'b',
    bootIdAfter: 'b',
    clockMs: 3,
  },
  ...{ before: FIGURES, during: FIGURES, healing: FIGURES, after: FIGURES, series: [] },
};
const WELL: Neighbour = { report: REPORT, starts: 0, losses: [], brokeOff: false };
const SEEN: Seen = {
  ...{ fault: 'panic', tookHold: 'Kernel panic', complaint: '', told: { what: 'panic', afterMs: 3 }, victim: 'web' },
  ...{ healed: { tookMs: 400, how: 'restarted' }, notHealed: '', neighbours: [WELL] },
};
const report = (part: Partial<KernelReport>): Partial<Neighbour> => ({ report: { ...REPORT, ...part } });

it.each<[string, Partial<Neighbour>, string[]]>([
  ['is well', {}, []],
  ['is slower by far', report({ during: { ...FIGURES, p99Us: 1e6 } }), []],
  ['has another kernel', report({ bootIdAfter: 'c' }), ['kernel']],
  ['has none any more', report({ bootIdAfter: null }), ['kernel']],
  ['was started again', { starts: 1 }, ['kernel']],
  ['was lost', { losses: ['health-lost: hung'] }, ['health']],
  ['failed a request', report({ during: { ...FIGURES, errors: 1 } }), ['errors']],
  ['failed one while the victim was healed', report({ healing: { ...FIGURES, errors: 1 } }), ['errors']],
  ['lost its probe', { brokeOff: true }, ['errors']],
  ['did nothing under the fault', report({ during: { ...FIGURES, requests: 0 } }), ['work']],
  ['did nothing after it', report({ after: { ...FIGURES, requests: 0 } }), ['work']],
  ['has the clock of the victim', report({ clockMs: 3_600_000 }), ['clock']],
])('a neighbour that %s', (_, part, broken) => {
  const { verdict, findings } = verdictOf({ ...SEEN, neighbours: [WELL, { ...WELL, ...part }] });
  expect(verdict).toBe(broken.length === 0 ? 'contained' : 'leaked');
  expect(findings.filter(({ outcome }) => outcome === 'broken').map(({ about }) => about)).toEqual(broken);
  for (const { reason } of findings) expect(reason).toMatch(/./);
});

it('a fault that did not take hold shows nothing, and says why; a victim that is not healed is told', () => {
  const { verdict, findings } = verdictOf({
    ...{ ...SEEN, tookHold: undefined, told: undefined, complaint: 'pk-trial: no such file' },
    ...{ healed: undefined, notHealed: 'not ready in time' },
  });
  expect(verdict).toBe('not-shown');
  expect(findings[0]!.reason).toContain('pk-trial: no such file');
  expect(findings[1]).toMatchObject({ about: 'health', outcome: 'noted' });
  expect(findings.at(-1)).toMatchObject({ about: 'healing', outcome: 'broken', reason: 'not ready in time' });
});

it('latency counts by when a request was due, work by when it was done', () => {
  const samples = [10, 20, 30, 40].map((dueMs) => ({
    dueMs,
    latencyUs: dueMs === 20 ? 25_000 : 1_000,
    failed: dueMs === 40,
  }));
  expect(figuresOf(samples, 0, 30, 5)).toMatchObject({ requests: 1, errors: 0, p50Us: 1_000, p99Us: 25_000, heard: 5 });
  expect(figuresOf(samples, 30, 60, -1)).toMatchObject({ requests: 3, errors: 1, worstUs: 1_000, heard: 0 });
  expect(figuresOf([], 0, 1, 0)).toMatchObject({ requests: 0, p50Us: null, p99Us: null, worstUs: null });
  expect(quantile([1, 2, 3, 4], 0.5)).toBe(2);
  expect(seriesOf(samples, 0, 100)).toEqual([[0, 1_000, 25_000]]);
  const many = Array.from({ length: 100_000 }, (_, index) => ({ dueMs: index * 10, latencyUs: 1, failed: false }));
  expect(seriesOf(many, 0, 1e6).length).toBeLessThanOrEqual(600);
});

it.each(['', 'r', 'r -1 2', 'r 1 2 3', 'rr 1 2', 'r 1e9 2', 'r 9999999999999999 1', '\u001b[2J', 'r 1 2\r'])(
  'what a guest says is read in one form alone: %j is nothing',
  (line) => expect(parse(line)).toEqual(['']),
);
