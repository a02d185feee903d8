/** The rows of fields.ts that say how the health of a workload is checked. */
import { type FieldRow, span } from './field-row.ts';

export const HEALTH_FIELDS = {
  healthCommand: {
    kind: 'text',
    schema: {
      type: 'string',
      minLength: 1,
      maxLength: 65_536,
      pattern: '^[^\\0]*$',
      description: 'Run in its kernel by /bin/sh -c, as the workload is: with exit code 0 it is well. Default none',
    },
    default: null,
    cli: { option: 'health-cmd', value: 'CMD', help: 'shell command that says by its exit code whether it is well' },
    stack: {
      key: 'healthcheck.command',
      type: 'text for sh -c',
      default: 'required',
      live: true,
      description: 'run in its kernel, as the workload is: with exit code 0 it is well',
    },
  },
  healthIntervalMs: {
    kind: 'duration',
    schema: span(1000, 'From the end of a check to the next. Default 10000'),
    default: 10_000,
    cli: { option: 'health-interval', value: 'TIME', help: 'from the end of a check to the next (default 10s)' },
    stack: {
      key: 'healthcheck.interval',
      type: 'duration',
      default: '10s',
      live: true,
      description: 'from the end of a check to the next; 1s or more',
    },
  },
  healthTimeoutMs: {
    kind: 'duration',
    schema: span(1, 'A check that takes longer has failed. Default 5000'),
    default: 5_000,
    cli: { option: 'health-timeout', value: 'TIME', help: 'a check that takes longer has failed (default 5s)' },
    stack: {
      key: 'healthcheck.timeout',
      type: 'duration',
      default: '5s',
      live: true,
      description: 'a check that takes longer has failed',
    },
  },
  healthRetries: {
    kind: 'count',
    schema: { type: 'integer', minimum: 1, maximum: 1000, description: 'Failures in a row that count. Default 3' },
    default: 3,
    cli: { option: 'health-retries', value: 'N', help: 'so many failures in a row count (default 3)' },
    stack: {
      key: 'healthcheck.retries',
      type: 'number',
      default: '3',
      live: true,
      description: 'so many failures in a row count',
    },
  },
  healthStartPeriodMs: {
    kind: 'duration',
    schema: span(0, 'From its start on failures do not count so long, until the first success. Default 10000'),
    default: 10_000,
    cli: { option: 'health-start-period', value: 'TIME', help: 'failures do not count so long at first (default 10s)' },
    stack: {
      key: 'healthcheck.startPeriod',
      type: 'duration',
      default: '10s',
      live: true,
      description: 'from its start on failures do not count so long, until the first success',
    },
  },
} as const satisfies Readonly<Record<string, FieldRow>>;
