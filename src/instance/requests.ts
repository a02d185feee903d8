/** What is asked of instances that exist, as JSON Schema: the API's contract and the types in one. */
import { flag, milliseconds, oneOf, request, typed, type Value } from '../core/schema.ts';
import { commandSchema, createRequestSchema, environmentSchema } from './schema.ts';

const { cpus, driver, memoryBytes, user, merged, rows, columns } = createRequestSchema.properties;

export const guestPath = {
  type: 'string',
  pattern: '^/[^\\0]*$',
  maxLength: 4096,
  'x-hint': 'Give an absolute path in the guest.',
} as const;

const signal = { type: 'integer', minimum: 1, maximum: 64 } as const;

export const stopRequest = request({
  graceMs: { ...milliseconds, description: "Milliseconds. Default: the instance's stopGraceMs" },
});

export const killRequest = request({
  signal: { ...signal, description: 'Absent or 9: the kernel is killed. Else sent to the workload' },
});

export const execRequest = request(
  {
    ...{ command: commandSchema, env: environmentSchema, cwd: guestPath, user, tty: flag, merged, rows, columns },
    session: {
      ...{ type: 'integer', minimum: 1, maximum: 2 ** 32 - 1 },
      description: 'One that an earlier daemon has moved to this one: it goes on, and nothing is started',
    },
    detached: { ...flag, description: 'It goes on by itself, without streams: told is that it started' },
  },
  'command',
);
export type ExecRequest = Value<typeof execRequest>;

/** Client to server on a stream, as JSON text. */
export type StreamCommand = { signal: number } | { resize: { rows: number; columns: number } };

const side = { type: 'integer', minimum: 1, maximum: 65_535 } as const;
export const streamCommand = typed<StreamCommand>(
  request({ signal, resize: request({ rows: side, columns: side }, 'rows', 'columns') }),
);

export const logQuery = request({
  follow: flag,
  tail: { type: 'integer', minimum: 0, maximum: 10_000_000, description: 'Only the last N lines of text' },
  since: {
    type: 'string',
    pattern: '^\\d{4}-\\d\\d-\\d\\d(T\\d\\d:\\d\\d(:\\d\\d(\\.\\d{1,9})?)?(Z|[+-]\\d\\d:?\\d\\d)?)?$',
    description: 'Only what came at that time or later: ISO 8601',
    'x-hint': 'Give an ISO 8601 time such as 2026-01-31T12:00:00Z.',
  },
  source: { ...oneOf('workload', 'console'), description: 'Default workload' },
});
export type LogQuery = Value<typeof logQuery>;

export const prewarmRequest = request({
  name: { type: 'string', minLength: 1, maxLength: 200, description: "Of an image; default: the driver's" },
  driver,
  cpus,
  memoryBytes,
});
export type PrewarmRequest = Value<typeof prewarmRequest>;
