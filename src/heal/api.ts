/** Healing in the API. */
import { get, put, routes } from '../core/route.ts';
import { count, flag, named, oneOf, orNull, record, request, text, time } from '../core/schema.ts';
import type { Healing, HealStatus } from './types.ts';

const name = { type: 'string', minLength: 1, maxLength: 63 } as const;

const healing = named(
  'Healing',
  record<Healing>({
    at: time,
    name: text,
    cause: oneOf('exit', 'signal', 'panic', 'died', 'not-ready', 'failed', 'hung', 'unhealthy', 'stopped', 'killed'),
    why: text,
    attempt: { ...count, description: 'Which restart in a row, from 1' },
    outcome: oneOf('waiting', 'held', 'healing', 'healed', 'failed', 'given-up', 'over'),
    note: text,
    tookMs: { ...orNull(count), description: 'Until a new kernel was up' },
  }),
);
const status = named(
  'HealStatus',
  record<HealStatus>({
    name: text,
    state: text,
    restart: text,
    heal: oneOf('no', 'lost', 'hung', 'unhealthy'),
    heldUntil: { ...orNull(time), description: 'Nothing is healed until then' },
    acknowledged: { ...flag, description: 'Somebody knows of its health: nothing is healed either' },
    last: orNull(healing),
  }),
);

export const healApi = routes('health', {
  heal: get('/v1/heal', {
    summary: 'Of what instances are healed, and who is held off',
    list: 'instances',
    answer: status,
  }),
  healings: get('/v1/heal/log', {
    summary: 'What was healed, why, and what became of it',
    query: request({
      since: {
        type: 'integer',
        minimum: 1,
        maximum: 31_536_000,
        description: 'So many seconds back. Default all',
        'x-hint': 'At most 365d.',
      },
      name,
    }),
    list: 'healings',
    answer: healing,
  }),
  holdHealing: put('/v1/heal/holds/:name', {
    summary: 'Heal nothing of an instance for a while, or again',
    description:
      'What is due meanwhile comes when it is over. With 0 it is healed again, also when its health was acknowledged.',
    body: request(
      {
        seconds: {
          type: 'integer',
          minimum: 0,
          maximum: 2_592_000,
          description: '0 ends it',
          'x-hint': 'At most 30d.',
        },
      },
      'seconds',
    ),
    answer: status,
  }),
});
