import { expect, it } from 'vitest';
import type { InstanceExit, InstanceState, InstanceStatus } from '../../instance/spec.ts';
import { parse } from '../kit/command.ts';
import { command, isOfInterest, selected } from './ps.ts';

const AT = '2026-11-27T12:00:00.000Z';
const after = (minutes: number) => Date.parse(AT) + minutes * 60_000;

it.each<[InstanceState, InstanceExit['reason'] | null, number, number, boolean]>([
  ['running', null, 0, 0, true],
  ['backoff', 'exit', 1, 100, true],
  ['created', null, 0, 0, false],
  ['exited', 'failed', 127, 9, true],
  ['exited', 'failed', 127, 10, false],
  ['exited', 'exit', 3, 1, true],
  ['exited', 'died', 123, 1, true],
  ['exited', 'exit', 0, 1, false],
  ['exited', 'stopped', 143, 1, false],
  ['exited', 'killed', 137, 1, false],
])('%s, %s %i, %i minutes later: listed %s', (state, reason, exitCode, minutes, isListed) => {
  const exit = reason && { reason, exitCode, message: '', at: AT };
  expect(isOfInterest({ state, exit }, after(minutes))).toBe(isListed);
});

const made = (name: string, state: InstanceState, minute: number) =>
  ({ spec: { name }, state, exit: null, createdAt: new Date(after(minute)).toISOString() }) as InstanceStatus;
const ALL = [made('old', 'running', 0), made('new', 'created', 2), made('mid', 'exited', 1)];

it.each([
  [[], ['old']],
  [['-a'], ['old', 'new', 'mid']],
  [
    ['-n', '2'],
    ['new', 'mid'],
  ],
  [['--latest'], ['new']],
  [
    ['--filter', 'status=exited'],
    ['old', 'new', 'mid'],
  ],
  [['-f', 'name=x'], ['old']],
])('of all, %j are looked at', (args, names) => {
  expect(selected(ALL, parse('ps', command, args), after(3)).map(({ spec }) => spec.name)).toEqual(names);
});
