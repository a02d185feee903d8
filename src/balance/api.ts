/** Sizes, moves and balancing in the API: what is asked, what is answered, and the routes. */
import { get, long, post, put, routes } from '../core/route.ts';
import { count, flag, listOf, named, oneOf, orNull, record, request, text, time, typed } from '../core/schema.ts';
import { size } from '../instance/api.ts';
import type { ToldDecision } from './decision-log.ts';
import type { Replay } from './replay.ts';
import type { MoveReport, MoveRequest, SizeRequest } from './requests.ts';
import type { BalanceStatus, SeenKernel } from './status.ts';

const dryRun = { ...flag, description: 'Say what would be done, and do nothing' };
const name = { type: 'string', minLength: 1, maxLength: 63 } as const;

const sizeRequest = request({
  cpus: {
    type: 'number',
    minimum: 0.001,
    maximum: 4096,
    description: 'CPUs that are online, or the part of shared ones. Default: as many as now',
  },
  memoryBytes: { type: 'integer', minimum: 1, description: 'Whole MiB. Default: as much as now' },
  dryRun,
});
const moveRequest = request(
  {
    resource: oneOf('cpu', 'memory'),
    from: { ...name, description: 'Who gives: an instance, or `pool` for what nobody owns' },
    to: { ...name, description: 'Who gets' },
    amount: {
      type: 'number',
      minimum: 0.001,
      description: 'CPUs, thousandths where they are shared ones, or bytes in whole MiB',
    },
    dryRun,
  },
  'resource',
  'from',
  'to',
  'amount',
);
const report = named(
  'MoveReport',
  record<MoveReport>({
    steps: listOf(record<MoveReport['steps'][number]>({ text, undo: text })),
    sizes: listOf(record<MoveReport['sizes'][number]>({ name: text, before: size, after: size })),
  }),
);

const number = { type: 'number' } as const;
const status = named(
  'BalanceStatus',
  record<BalanceStatus>({
    mode: oneOf('off', 'observe', 'on'),
    policy: text,
    suspended: { ...orNull(text), description: 'Why it observes although it is on' },
    holds: listOf(record<BalanceStatus['holds'][number]>({ name: text, until: time })),
    kernels: listOf(
      record<SeenKernel>({
        name: text,
        kind: oneOf('service', 'batch'),
        cpus: number,
        min: number,
        max: number,
        priority: count,
        promiseMs: orNull(number),
        known: { ...flag, description: 'False: no metrics came, or its size is held' },
        busy: number,
        waiting: number,
        p99Ms: orNull(number),
      }),
    ),
    moves: record<BalanceStatus['moves']>({ kept: count, undone: count, failed: count }),
    reasons: {
      ...listOf(
        record<BalanceStatus['reasons'][number]>({ resource: oneOf('cpu', 'memory', 'weight'), rule: text, count }),
      ),
      description: 'What was done in the last hour, by the rule that fired',
    },
  }),
);
const decision = named(
  'BalanceDecision',
  record<ToldDecision>({
    at: time,
    policy: text,
    move: text,
    resource: {
      ...oneOf('cpu', 'memory', 'weight'),
      description: 'What `before` and `after` are of: CPUs, bytes, weights',
    },
    kernels: listOf(record<ToldDecision['kernels'][number]>({ name: text, before: number, after: number, why: text })),
    outcome: oneOf('observed', 'held', 'moving', 'kept', 'undone', 'failed'),
    note: text,
  }),
);
const replayed = named(
  'BalanceReplay',
  record<Replay>({ policy: text, windows: count, decided: count, decisions: listOf(decision) }),
);
const ago = { type: 'integer', minimum: 1, maximum: 604_800, 'x-hint': 'At most 7d.' } as const;

export const balanceApi = routes('balance', {
  balance: get('/v1/balance', { summary: 'What balancing is told to do, and what it sees', answer: status }),
  setBalance: put('/v1/balance', {
    summary: 'Switch balancing on or off, or choose its policy',
    body: request({ mode: oneOf('off', 'observe', 'on'), policy: { type: 'string', maxLength: 63 } }),
    answer: status,
  }),
  decisions: get('/v1/balance/decisions', {
    summary: 'What was decided, why, and what became of it',
    query: request({ since: { ...ago, description: 'So many seconds back. Default a day' }, kernel: name }),
    list: 'decisions',
    answer: decision,
  }),
  holdSize: put('/v1/balance/holds/:name', {
    summary: 'Keep the size of a kernel for a while, whatever a policy wishes',
    body: request({ seconds: { ...ago, minimum: 0, description: '0 ends it' } }, 'seconds'),
    answer: status,
  }),
  replay: post('/v1/balance/replay', {
    summary: 'Recorded windows under another policy: what it would have decided',
    body: request(
      {
        policy: text,
        since: { ...ago, maximum: 3600, description: 'Seconds back. Default an hour', 'x-hint': 'At most 1h.' },
      },
      'policy',
    ),
    answer: replayed,
  }),
  /** Resolves once it has that size, read back from guest and VMM; a failure leaves it as it was. */
  resize: long('/v1/instances/:name/size', {
    summary: 'Give a kernel that runs other CPUs or memory, within its bounds',
    body: typed<SizeRequest>(sizeRequest),
    answer: report,
  }),
  move: long('/v1/moves', {
    summary: 'Move CPUs or memory from one kernel to another, all or nothing',
    body: typed<MoveRequest>(named('MoveRequest', moveRequest)),
    answer: report,
  }),
});
