/** Upgrades in the API. */
import { del, get, long, routes } from '../core/route.ts';
import {
  count,
  flag,
  listOf,
  milliseconds,
  named,
  oneOf,
  orNull,
  record,
  request,
  text,
  texts,
  time,
  typed,
} from '../core/schema.ts';
import { commandSchema } from '../instance/contract.ts';
import type { Rollout, RolloutRequest, ServedMeanwhile, UpgradeReport, UpgradeRequest } from './requests.ts';

const command = { ...commandSchema, description: 'argv of the workload. Default: as now' };
const fields = {
  image: { type: 'string', minLength: 1, maxLength: 200, description: 'Kernel image. Default: as now' },
  root: {
    type: 'string',
    pattern: '^(host|/[^\\0]*)$',
    maxLength: 4096,
    description: '`host`, or the absolute path of a directory, tar, squashfs or ext4 file. Default: as now',
    'x-hint': 'Give "host" or an absolute path.',
  },
  watchMs: {
    type: 'integer',
    minimum: 0,
    maximum: 3_600_000,
    'x-hint': 'At most 1h.',
    description: 'How long it is watched, and taken back when it fails, after it has taken over. Default 2000',
  },
  drainMs: {
    ...milliseconds,
    description: 'How long open connections may take to end before they are cut with their kernel. Default 30000',
  },
  dryRun: { ...flag, description: 'Say what would be done, and do nothing' },
} as const;
const upgradeRequest = request({ ...fields, command });
const rolloutRequest = named(
  'RolloutRequest',
  request({
    ...fields,
    atMost: {
      ...{ type: 'integer', minimum: 1, maximum: 64, 'x-hint': 'Give a number from 1 to 64.' },
      description: 'So many at once. Default 1',
    },
  }),
);
const report = named(
  'UpgradeReport',
  record<UpgradeReport>({
    name: text,
    way: oneOf('beside', 'pause', 'at-rest'),
    why: { ...orNull(text), description: 'Why no second kernel serves meanwhile' },
    steps: listOf(record<UpgradeReport['steps'][number]>({ text, undo: text })),
    downMs: { ...orNull(count), description: 'How long its kernel was down' },
    isPaused: { ...flag, description: 'And nobody served in its place' },
    cutConnections: { ...count, description: 'That stayed open for longer than they were given' },
    services: {
      ...listOf(record<ServedMeanwhile>({ service: text, requests: count, errors: count, retries: count })),
      description: 'What clients met with meanwhile',
    },
  }),
);

const failure = record<NonNullable<Rollout['failure']>>({
  name: text,
  error: typed({ type: 'object', description: 'As errors are answered' }),
});
const rollout = named(
  'Rollout',
  record<Rollout>({
    state: oneOf('running', 'done', 'failed', 'stopped'),
    request: rolloutRequest,
    startedAt: time,
    endedAt: orNull(time),
    left: { ...texts, description: 'Not begun' },
    under: { ...texts, description: 'Under way' },
    done: listOf(report),
    skipped: {
      ...listOf(record<Rollout['skipped'][number]>({ name: text, why: text })),
      description: 'They run, and cannot have it',
    },
    failure: { ...orNull(failure), description: 'The first that failed' },
  }),
);

export const upgradeApi = routes('upgrade', {
  /** Resolves once it runs what was asked for, and has shown that it does; a failure leaves it as it was. */
  upgrade: long('/v1/instances/:name/upgrade', {
    summary: 'Run an instance on another image, command or root, all or nothing; behind a service without a gap',
    body: typed<UpgradeRequest>(named('UpgradeRequest', upgradeRequest)),
    answer: report,
  }),
  /** Resolves once it is over, however it went. Who goes before does not end it: asking for the same again follows it. */
  rollOut: long('/v1/upgrades', {
    summary: 'Upgrade all instances that run and can have it; goes on when the client, or the daemon, ends',
    body: typed<RolloutRequest>(rolloutRequest),
    answer: rollout,
  }),
  rollout: get('/v1/upgrades', { summary: 'What became of the last upgrade of all', answer: rollout }),
  stopRollout: del('/v1/upgrades', {
    summary: 'Begin no other upgrade of it, and take back those under way',
    answer: rollout,
  }),
});
