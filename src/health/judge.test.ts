import { expect, it } from 'vitest';
import { type Facts, judge } from './judge.ts';

const WELL: Facts = {
  state: 'running',
  exit: null,
  beat: { verdict: 'alive', sinceMs: 0, seen: '' },
  check: null,
  oom: undefined,
};
const CHECK = { failures: 0, retries: 3, passed: true, since: undefined, seen: 'exit code 1' };
const STALL = { kind: 'rcu-stall', count: 1, text: 'rcu: INFO: rcu_sched self-detected stall', sinceMs: 0 } as const;
const WORD = { text: 'x', sinceMs: 0 };
const AT = new Date(0).toISOString();
const exit = (reason: 'panic' | 'died' | 'not-ready' | 'exit' | 'killed') => ({
  reason,
  exitCode: 1,
  message: 'Kernel panic',
  at: AT,
});

it.each<[string, Partial<Facts>, string, string[]]>([
  ['well', {}, 'healthy', []],
  ['not heard yet', { beat: { verdict: 'unheard', sinceMs: 0, seen: '' } }, 'unknown', []],
  ['not running', { state: 'starting', beat: undefined }, 'unknown', []],
  ['starved', { beat: { verdict: 'starving', sinceMs: 0, seen: 'x' } }, 'starving', ['starved']],
  ['silent', { beat: { verdict: 'hung', sinceMs: 0, seen: 'x' } }, 'hung', ['silence']],
  [
    'silent, and nobody feeds its watchdog',
    { beat: { verdict: 'hung', sinceMs: 0, seen: 'x' }, watchdog: WORD },
    'hung',
    ['silence', 'watchdog'],
  ],
  ['heard, and nobody feeds its watchdog', { watchdog: WORD }, 'healthy', []],
  [
    'starved, and nobody feeds its watchdog',
    { beat: { verdict: 'starving', sinceMs: 0, seen: 'x' }, watchdog: WORD },
    'starving',
    ['starved'],
  ],
  ['mute over its line alone', { beat: { verdict: 'mute', sinceMs: 0, seen: 'x' } }, 'unhealthy', ['line']],
  ['seen to panic, before all of it is gone', { lost: { ...WORD, sign: 'panic' } }, 'lost', ['panic']],
  [
    'dumping itself, however silent',
    { dumping: WORD, beat: { verdict: 'hung', sinceMs: 0, seen: 'x' } },
    'lost',
    ['dumping'],
  ],
  ['of a check that never passed', { check: { ...CHECK, passed: false } }, 'unknown', []],
  ['of a check that failed twice of three times', { check: { ...CHECK, failures: 2 } }, 'healthy', []],
  ['of a check that failed thrice', { check: { ...CHECK, failures: 3 } }, 'unhealthy', ['check']],
  ['short of memory', { oom: { count: 2, sinceMs: 0 } }, 'unhealthy', ['out-of-memory']],
  ['stalled, as its kernel tells', { troubles: [STALL] }, 'unhealthy', ['rcu-stall']],
  [
    'stalled, for the host gives it no time',
    { troubles: [STALL], beat: { verdict: 'starving', sinceMs: 0, seen: 'x' } },
    'starving',
    ['rcu-stall', 'starved'],
  ],
  [
    'all at once',
    {
      beat: { verdict: 'hung', sinceMs: 0, seen: 'x' },
      check: { ...CHECK, failures: 9 },
      oom: { count: 1, sinceMs: 0 },
    },
    'hung',
    ['silence', 'check', 'out-of-memory'],
  ],
  ['gone by a panic', { state: 'exited', exit: exit('panic'), beat: undefined }, 'lost', ['panic']],
  ['gone, to be restarted', { state: 'backoff', exit: exit('died'), beat: undefined }, 'lost', ['died']],
  [
    'ended, and not proven to be gone',
    { state: 'stuck', ending: exit('killed'), beat: undefined },
    'lost',
    ['unproven'],
  ],
  ['up again after a panic', { exit: exit('panic') }, 'healthy', []],
  ['killed on request', { state: 'exited', exit: exit('killed'), beat: undefined }, 'unknown', []],
  ['done with an error', { state: 'exited', exit: exit('exit'), beat: undefined }, 'unknown', []],
])('one that is %s', (_, facts, health, signs) => {
  const judgement = judge({ ...WELL, ...facts });
  expect([judgement.health, judgement.signs.map(({ sign }) => sign)]).toEqual([health, signs]);
  for (const { since, seen } of judgement.signs)
    expect([Date.parse(since), seen]).toEqual([0, expect.stringMatching(/./)]);
});
