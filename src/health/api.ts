/** The health of instances in the API. */
import { get, post, routes } from '../core/route.ts';
import { count, flag, id, listOf, named, nothing, oneOf, orNull, record, text, time } from '../core/schema.ts';
import type { CheckResult, HealthStatus, Sign } from './types.ts';

const sign = record<Sign>({
  sign: oneOf('silence', 'starved', 'check', 'out-of-memory', 'panic', 'died', 'not-ready', 'unproven'),
  since: time,
  seen: text,
});
const result = record<CheckResult>({
  at: time,
  tookMs: count,
  outcome: oneOf('passed', 'failed', 'not-counted'),
  exitCode: orNull({ type: 'integer' }),
  output: text,
});
const status = named(
  'HealthStatus',
  record<HealthStatus>({
    name: text,
    id,
    state: text,
    health: oneOf('unknown', 'healthy', 'starving', 'unhealthy', 'hung', 'lost'),
    since: time,
    acknowledged: { ...flag, description: 'Somebody knows of it; until it changes' },
    signs: { ...listOf(sign), description: 'What it is told by' },
    check: {
      ...orNull(
        record<NonNullable<HealthStatus['check']>>({ command: text, failures: count, results: listOf(result) }),
      ),
      description: "The workload's own check, with its last results",
    },
  }),
);

export const healthApi = routes('health', {
  health: get('/v1/health', { summary: 'How all instances do', list: 'health', answer: status }),
  instanceHealth: get('/v1/instances/:name/health', {
    summary: 'How one instance does, and by which signs',
    answer: status,
  }),
  acknowledgeHealth: post('/v1/instances/:name/health/acknowledge', {
    summary: 'Say that somebody knows of its health',
    description: 'Until it changes. What is over, such as memory that did not suffice, is held against it no longer.',
    body: nothing,
    answer: status,
  }),
});
