/** The health of instances in the API. */
import { get, post, put, routes } from '../core/route.ts';
import { count, flag, id, listOf, named, nothing, oneOf, orNull, record, request, text, time } from '../core/schema.ts';
import { TROUBLES } from '../guest/index.ts';
import type { AlertStatus, CheckResult, HealthStatus, Sign } from './types.ts';

const KERNEL_SIGNS = [
  ...(['silence', 'starved', 'line', 'watchdog', ...TROUBLES] as const),
  ...(['panic', 'dumping', 'died', 'not-ready', 'unproven'] as const),
] as const;
const sign = record<Sign>({
  sign: oneOf('check', ...KERNEL_SIGNS),
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
    possible: { ...listOf(oneOf(...KERNEL_SIGNS)), description: 'Signs that its driver can give' },
    check: {
      ...orNull(
        record<NonNullable<HealthStatus['check']>>({ command: text, failures: count, results: listOf(result) }),
      ),
      description: "The workload's own check, with its last results",
    },
  }),
);

const alert = named(
  'AlertStatus',
  record<AlertStatus>({
    command: { ...orNull(listOf(text)), description: 'Program and arguments' },
    url: { ...orNull(text), description: 'Web hook' },
    sent: count,
    failed: count,
    dropped: count,
    failure: { ...orNull(text), description: 'Why the last one failed' },
  }),
);

export const healthApi = routes('health', {
  health: get('/v1/health', { summary: 'How all instances do', list: 'health', answer: status }),
  instanceHealth: get('/v1/instances/:name/health', {
    summary: 'How one instance does, and by which signs',
    answer: status,
  }),
  alert: get('/v1/alert', { summary: 'Who is told when an instance is not well', answer: alert }),
  setAlert: put('/v1/alert', {
    summary: 'Tell a program, or a web hook on this machine, when an instance is not well or is again',
    description: 'With neither nobody is told.',
    body: request({
      command: {
        ...{
          type: 'array',
          items: { type: 'string', maxLength: 4096, pattern: '^[^\\0]*$' },
          minItems: 1,
          maxItems: 64,
        },
        description: 'Absolute path of a program and its arguments; it gets each alert as JSON on its standard input',
      },
      url: {
        ...{ type: 'string', minLength: 1, maxLength: 1024 },
        description: 'http://127.0.0.1:PORT/PATH or unix:/SOCKET:/PATH; it gets each alert as JSON by POST',
      },
    }),
    answer: alert,
  }),
  acknowledgeHealth: post('/v1/instances/:name/health/acknowledge', {
    summary: 'Say that somebody knows of its health',
    description: 'Until it changes. What is over, such as memory that did not suffice, is held against it no longer.',
    body: nothing,
    answer: status,
  }),
});
