/** What a trial has shown, sentence by sentence. Pure. Latencies count for nothing: they are this machine's as much as the kernels'. */
import { CLOCK_LIMIT_MS, FAULTS, type FaultName } from './faults.ts';
import type { Figures, Finding, KernelReport, Verdict } from './types.ts';

export interface Seen {
  fault: FaultName;
  /** Why the fault is held to have taken hold; undefined: it did not. */
  tookHold: string | undefined;
  /** What the program that was to bring it about could not do; empty when it could. */
  complaint: string;
  /** How the daemon told of it, and how long after the fault; undefined: it did not. */
  told: { what: string; afterMs: number } | undefined;
  victim: string;
  /** How it became well again; undefined: it did not. */
  healed: { tookMs: number; how: string } | undefined;
  /** Why it did not, for people. */
  notHealed: string;
  neighbours: readonly Neighbour[];
}

export interface Neighbour {
  report: KernelReport;
  /** How often its kernel was started meanwhile. */
  starts: number;
  /** What the daemon told of it that is a loss. */
  losses: readonly string[];
  /** Its probe ended before it was to. */
  brokeOff: boolean;
}

export function verdictOf(seen: Seen): { verdict: Verdict; findings: Finding[] } {
  const harmed = seen.neighbours.flatMap((neighbour) => findingsOf(neighbour));
  const leaked = harmed.some(({ outcome }) => outcome === 'broken');
  const verdict = leaked ? 'leaked' : seen.tookHold === undefined ? 'not-shown' : 'contained';
  return { verdict, findings: [...ofVictim(seen), ...harmed, healing(seen)] };
}

function ofVictim({ fault, victim, tookHold, told, complaint }: Seen): Finding[] {
  const reason = tookHold ?? `${FAULTS[fault].summary}: ${complaint || 'nothing was seen of that'}`;
  const hold: Finding = { about: 'fault', name: victim, outcome: tookHold === undefined ? 'broken' : 'held', reason };
  if (told === undefined && FAULTS[fault].told === null) return [hold];
  const words =
    told === undefined
      ? 'the daemon did not tell of it in time'
      : `told as ${told.what}, ${span(told.afterMs)} after it began`;
  return [hold, { about: 'health', name: victim, outcome: 'noted', reason: words }];
}

function findingsOf({ report, starts, losses, brokeOff }: Neighbour): Finding[] {
  const { name, bootIdBefore, bootIdAfter, before, during, healing, after, clockMs } = report;
  const finding = (about: Finding['about'], isSo: boolean, reason: string): Finding => ({
    ...{ about, name, reason },
    outcome: isSo ? 'held' : 'broken',
  });
  const since = [during, healing, after];
  const sum = (of: 'errors' | 'requests' | 'heard') => since.reduce((total, part) => total + part[of], 0);
  const errors = sum('errors');
  const isSame = starts === 0 && bootIdBefore !== null && bootIdBefore === bootIdAfter;
  return [
    finding(
      'kernel',
      isSame,
      isSame
        ? `the same kernel, boot id ${bootIdBefore}`
        : `its kernel was ${bootIdBefore ?? 'none'}, and is ${bootIdAfter ?? 'none'} now`,
    ),
    finding(
      'health',
      losses.length === 0,
      losses[0] ??
        `no loss of health was told; its agent spoke ${before.heard} times before the fault and ${sum('heard')} times since`,
    ),
    finding(
      'errors',
      errors === 0 && !brokeOff,
      brokeOff ? 'its probe ended unasked' : `${errors} of ${sum('requests')} requests failed since the fault`,
    ),
    finding(
      'work',
      during.requests > 0 && after.requests > 0,
      `requests a second: ${[before, during, after].map(rate).join(', ')}`,
    ),
    finding(
      'clock',
      clockMs === null || clockMs < CLOCK_LIMIT_MS,
      clockMs === null ? 'its clock was not heard' : `its clock stayed within ${span(clockMs)} of this machine's`,
    ),
    {
      about: 'latency',
      name,
      outcome: 'noted',
      reason: `p99 ${[before, during, after].map(p99).join(', ')}${ratio(before, during)}`,
    },
  ];
}

const healing = ({ victim, healed, notHealed }: Seen): Finding => ({
  ...{ about: 'healing', name: victim },
  outcome: healed === undefined ? 'broken' : 'held',
  reason: healed === undefined ? notHealed : `${healed.how}, ready after ${span(healed.tookMs)}`,
});

const span = (ms: number): string =>
  ms < 10_000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(0)} s`;
const rate = ({ requests, seconds }: Figures): string => (seconds === 0 ? '-' : (requests / seconds).toFixed(0));
const p99 = ({ p99Us }: Figures): string => (p99Us === null ? '-' : `${(p99Us / 1000).toFixed(2)} ms`);
const ratio = ({ p99Us: before }: Figures, { p99Us: during }: Figures): string =>
  before === null || during === null || before === 0 ? '' : `: ${(during / before).toFixed(2)} of quiet`;
