import { describe, expect, it } from 'vitest';
import { CREATED } from '../instance/machine.ts';
import { decide, isLost, type Seen } from './decide.ts';

const primary = { runs: true, isLost: false, answers: true };
const standby = {
  state: 'running',
  isFresh: false,
  isOutdated: false,
  isBarred: false,
  answers: false,
  isDrained: false,
} as const;
const seen = (part: Partial<Seen> = {}): Seen => ({ wanted: true, primary, standby, phase: 'warming', ...part });
const lost = { runs: false, isLost: true, answers: false };
const stopped = { runs: false, isLost: false, answers: false };
const frozen = { ...standby, state: 'paused' } as const;

describe('what is done next of a standby', () => {
  it.each<[string, Partial<Seen>, ReturnType<typeof decide>]>([
    ['there is none yet', { standby: null }, 'create'],
    ['there is none, and the other one was stopped', { standby: null, primary: stopped }, 'none'],
    ['it does not answer yet', {}, 'none'],
    ['it answers', { standby: { ...standby, answers: true } }, 'freeze'],
    ['somebody resumed it', { phase: 'waiting' }, 'freeze'],
    ['it waits', { standby: frozen, phase: 'waiting' }, 'none'],
    ['the other one is lost', { standby: frozen, phase: 'waiting', primary: lost }, 'serve'],
    ['the other one was stopped', { standby: frozen, phase: 'waiting', primary: stopped }, 'none'],
    ['it is lost before this one answers', { primary: lost }, 'none'],
    ['it is lost as soon as this one answers', { primary: lost, standby: { ...standby, answers: true } }, 'serve'],
    ['it serves while the other one starts', { phase: 'serving', primary: { ...lost, runs: true } }, 'none'],
    ['the other one answers again', { phase: 'serving' }, 'leave'],
    ['the other one is stopped while it serves', { phase: 'serving', primary: stopped }, 'leave'],
    ['it has something to complete', { phase: 'leaving' }, 'none'],
    ['it has completed all', { phase: 'leaving', standby: { ...standby, isDrained: true } }, 'freeze'],
    ['the other one is lost again meanwhile', { phase: 'leaving', primary: lost }, 'serve'],
    ['it ended', { standby: { ...standby, state: 'exited' } }, 'start'],
    ['it ended as soon as it was started', { standby: { ...standby, state: 'exited', isFresh: true } }, 'none'],
    ['it is another one than would be made now', { standby: { ...frozen, isOutdated: true } }, 'remove'],
    ['that one serves', { phase: 'serving', primary: lost, standby: { ...standby, isOutdated: true } }, 'none'],
    [
      'the other one is not to have what it has',
      { standby: { ...frozen, isOutdated: true, isBarred: true }, primary: lost },
      'remove',
    ],
    ['it is not asked for any more', { wanted: false, standby: frozen }, 'remove'],
    ['it is about to end', { standby: { ...standby, state: 'stopping' }, primary: lost }, 'none'],
  ])('%s', (_, part, deed) => expect(decide(seen(part))).toBe(deed));
});

describe('lost', () => {
  const exit = { reason: 'panic', exitCode: 122, message: '', at: '' } as const;
  it.each<[boolean, string, Partial<typeof CREATED>]>([
    [true, 'in back-off', { state: 'backoff', exit }],
    [true, 'starting anew', { state: 'starting', restarts: 1 }],
    [false, 'starting', { state: 'starting' }],
    [true, 'ended for hanging', { state: 'stopping', ending: { ...exit, reason: 'hung' }, mayRestart: true }],
    [false, 'being stopped', { state: 'stopping', ending: { ...exit, reason: 'stopped' }, mayRestart: false }],
    [true, 'crashed for good', { state: 'exited', exit, mayRestart: true }],
    [false, 'done', { state: 'exited', exit: { ...exit, reason: 'exit', exitCode: 0 }, mayRestart: true }],
    [false, 'running', { state: 'running' }],
  ])('%s: %s', (is, _, part) => expect(isLost({ machine: { ...CREATED, ...part } })).toBe(is));
});
