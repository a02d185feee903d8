import { expect, it } from 'vitest';
import type { Figures, TrialReport } from '../../containment/contract.ts';
import { pageOf } from './picture.ts';
import { reportText } from './text.ts';

const FIGURES: Figures = { seconds: 2, requests: 200, errors: 0, p50Us: 900, p99Us: 4_000, worstUs: 9_000, heard: 40 };
const kernel = (name: string, role: 'victim' | 'neighbour') => ({
  ...{ name, instance: name, role, driver: 'uml', bootIdBefore: 'a', bootIdAfter: 'b', clockMs: 1 },
  ...{ before: FIGURES, during: { ...FIGURES, requests: 0, p50Us: null, p99Us: null, worstUs: null } },
  ...{
    healing: FIGURES,
    after: FIGURES,
    series: [
      [0, 900, 9_000],
      [50, 800, 4_000],
      [4_000, 800, 4_000],
    ] as const,
  },
});
const REPORT: TrialReport = {
  ...{ at: '2026-01-01T00:00:00Z', fault: 'panic', live: false, verdict: 'contained', healed: true, work: null },
  findings: [{ about: 'fault', name: 'web', outcome: 'held', reason: 'panic <script>\u001b[2J' }],
  kernels: [kernel('web', 'victim'), kernel('db', 'neighbour')],
  ...{ events: [], marks: { faultMs: 2_000, healMs: 3_000, healedMs: 3_500, endMs: 5_500 }, notes: ['a & b'] },
};

it('the page has a picture for each kernel with the fault marked, a gap where nothing was done, and nothing of guests as markup', () => {
  const page = pageOf(REPORT);
  expect(page.match(/<svg/g)).toHaveLength(2);
  expect(page.match(/>fault<.text>/g)).toHaveLength(2);
  // Of each line two pieces: there is none from 50 ms to 4 s.
  expect(page.match(/d="M[^"]*M[^"]*" fill="none"/g)).toHaveLength(4);
  expect(page).not.toContain('<script>');
  expect(page).not.toContain('NaN');
  expect(page).toContain('a &amp; b');
});

it('the text ends with the verdict, and has no escapes of a guest', () => {
  const text = reportText(REPORT);
  expect(text).toMatch(/panic in web \(on clones\): contained: no neighbour was harmed\n$/);
  expect(text).not.toContain('\u001b');
});
