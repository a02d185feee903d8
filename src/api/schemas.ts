/** JSON Schemas of requests and answers. Requests are checked by them, answers only described. */
import { channelRequestSchema } from '../channel/contract.ts';
import type { Schema } from '../core/validate.ts';
import {
  channelUsesSchema,
  commandSchema,
  createRequestSchema,
  environmentSchema,
  publishSchema,
  volumeSchema,
} from '../instance/contract.ts';
import { nodeMemorySchema, partitionRequestSchema } from '../ledger/index.ts';
import { serviceRequestSchema, targetChangeSchema } from '../service/contract.ts';
import { ERROR_TABLE } from '../sys/errors.ts';

const text = { type: 'string' } as const;
const time = { type: 'string', description: 'ISO 8601 UTC' } as const;
const count = { type: 'integer', minimum: 0 } as const;
const orNull = (type: string) => ({ type: [type, 'null'] });

/** An object all of whose properties are there, unless `optional` names them. */
function record(properties: Record<string, object>, optional: string[] = []): Schema {
  return {
    type: 'object',
    properties,
    required: Object.keys(properties).filter((name) => !optional.includes(name)),
  } as Schema;
}
const list = (items: object) => ({ type: 'array', items });

export const errorBody = record(
  { code: { enum: Object.keys(ERROR_TABLE) }, message: text, field: text, value: {}, hint: text },
  ['field', 'value', 'hint'],
);

const exit = record({
  reason: { enum: ['exit', 'signal', 'panic', 'died', 'not-ready', 'failed', 'stopped', 'killed'] },
  exitCode: count,
  message: text,
  at: time,
});

const spec = record({
  name: text,
  command: commandSchema,
  env: environmentSchema,
  cwd: text,
  cwdOptional: { type: 'boolean' },
  user: text,
  hostname: text,
  driver: { enum: ['uml', 'qemu', 'fake'] },
  driverReason: text,
  image: text,
  cpus: count,
  memoryBytes: count,
  root: text,
  volumes: list(volumeSchema),
  restart: text,
  cold: { type: 'boolean' },
  readyTimeoutMs: count,
  stopGraceMs: count,
  attached: { type: 'boolean' },
  tty: { type: 'boolean' },
  rows: count,
  columns: count,
  partition: { ...partitionRequestSchema, type: ['object', 'null'] },
  tenant: orNull('string'),
  stack: orNull('string'),
  channels: channelUsesSchema,
  network: { enum: ['none', 'private', 'egress'] },
  publish: publishSchema,
});

const statusProperties = {
  id: { type: 'string', description: '32 hexadecimal digits' },
  spec,
  state: { enum: ['created', 'starting', 'running', 'paused', 'stopping', 'exited', 'backoff'] },
  bootId: orNull('string'),
  kernelRelease: orNull('string'),
  pid: orNull('integer'),
  cloned: orNull('boolean'),
  imageDigest: orNull('string'),
  createdAt: time,
  startedAt: { ...time, type: ['string', 'null'] },
  workingDirectory: orNull('string'),
  readyMs: { type: ['integer', 'null'], description: 'Spawn to ready of the last start, in milliseconds' },
  restarts: count,
  exit: { ...exit, type: ['object', 'null'] },
  restartAt: { ...time, type: ['string', 'null'] },
  address: { ...orNull('string'), description: 'IPv4 address in the private network' },
  placement: { type: ['object', 'null'], description: 'What it owns of the pool, and where its vCPUs run' },
};

const capabilities = record({
  maxCpus: count,
  minMemoryBytes: count,
  maxMemoryBytes: count,
  cpuHotplug: { type: 'boolean' },
  memoryHotplug: { type: 'boolean' },
  deviceHotplug: { type: 'boolean' },
  pause: { type: 'boolean' },
  templateClone: { type: 'boolean' },
  hugePages: { type: 'boolean' },
  dump: { type: 'boolean' },
  sharedMemory: { enum: ['none', 'boot', 'hotplug'] },
  networks: list({ enum: ['none', 'private', 'egress'] }),
  networkPort: { enum: ['none', 'veth', 'tap'] },
  confinement: list(text),
  isolation: text,
});

const channelEnd = record(
  {
    owner: { type: 'string', description: 'Name of an instance, or `host`' },
    visible: {
      enum: ['attached', 'pending', 'absent'],
      description:
        'attached: its kernel sees the memory. pending: its kernel runs without it. absent: no kernel of it runs',
    },
    reason: { ...orNull('string'), description: 'What has to happen before it is visible' },
    epoch: { ...count, description: 'Times a program attached' },
    state: { enum: ['detached', 'open', 'closed', 'error', 'invalid'] },
    fault: text,
    pid: { ...count, description: 'As the program sees itself; 0 = unknown' },
    asleep: { type: 'boolean' },
    messages: { ...count, description: 'Sent or released' },
    bytes: { ...count, description: 'Of these messages' },
    stalls: { ...count, description: 'Times it slept because the ring was full or empty' },
    drops: { ...count, description: 'Messages dropped because the ring was full' },
    bells: { ...count, description: 'Times it woke the other end' },
  },
  ['fault'],
);

const channel = record({
  id: { type: 'string', description: '32 hexadecimal digits' },
  name: text,
  sizeBytes: count,
  largestMessage: { ...count, description: 'Bytes' },
  state: { enum: ['ok', 'error'] },
  fault: orNull('string'),
  depthBytes: { ...count, description: 'In use, headers and padding included' },
  from: channelEnd,
  to: channelEnd,
  createdAt: time,
  stack: orNull('string'),
});

const number = { type: 'number' } as const;
const positive = { type: 'number', minimum: 0 } as const;
const share = { type: 'object', description: 'In CPUs by state', additionalProperties: number } as const;

/** Of one instance, by src/telemetry/types.ts; docs/telemetry.md explains every number. */
const instanceStats = record({
  name: text,
  id: text,
  state: text,
  driver: text,
  vcpus: count,
  memoryBytes: count,
  at: { ...time, type: ['string', 'null'] },
  restarts: count,
  readyMs: orNull('number'),
  guest: {
    ...record({
      at: time,
      cpus: orNull('integer'),
      cpuSeconds: { ...share, type: ['object', 'null'], description: 'Since its boot, by state' },
      cpu: { ...share, type: ['object', 'null'] },
      busy: orNull('number'),
      runQueue: orNull('integer'),
      blocked: orNull('integer'),
      pressure: record({
        source: { enum: ['psi', 'run-queue'] },
        cpu: orNull('number'),
        memory: orNull('number'),
        io: orNull('number'),
        seconds: { type: ['object', 'null'] },
      }),
      memory: { type: ['object', 'null'], additionalProperties: number },
      faults: { type: ['object', 'null'], additionalProperties: number },
      disk: { type: ['object', 'null'], additionalProperties: number },
      network: { type: ['object', 'null'], additionalProperties: number },
    }),
    type: ['object', 'null'],
  },
  host: {
    ...record({
      at: time,
      cpu: number,
      delay: number,
      overGuest: orNull('number'),
      others: number,
      othersSeconds: number,
      vcpus: list(record({ ranSeconds: number, delaySeconds: number, cpu: number, delay: number })),
      residentBytes: orNull('integer'),
    }),
    type: ['object', 'null'],
  },
  channels: list(
    record({
      name: text,
      side: { enum: ['send', 'recv'] },
      depthBytes: count,
      sizeBytes: count,
      messages: count,
      bytes: count,
      stalls: count,
      drops: count,
    }),
  ),
  requests: { type: ['object', 'null'] },
});

const milli = { type: ['number', 'null'], description: 'Milliseconds, within 1 %' };
const latency = record({ samples: count, p50: milli, p90: milli, p99: milli, p999: milli, max: milli });
const traffic = {
  requests: { ...count, description: 'Since the service was made; in tcp mode connections' },
  errors: { ...count, description: 'Status 500 and above; in tcp mode broken connections' },
  connectErrors: { ...count, description: 'Attempts to connect that failed, most of which were repeated' },
  retries: count,
  inFlight: count,
  requestsPerSecond: positive,
  latency: { ...latency, description: 'Of the last five minutes' },
};
const objective = record({
  kind: { enum: ['latency', 'availability'] },
  text,
  target: { ...positive, description: 'Share of good requests that is promised' },
  state: { enum: ['met', 'lost', 'none'] },
  since: time,
  attainment: { type: ['number', 'null'], description: 'Share of good requests in the last hour' },
  budget: record({ allowed: positive, spent: positive, left: { ...positive, description: 'Share, from 0 to 1' } }),
  burn: list(record({ window: { enum: ['5m', '1h'] }, requests: count, bad: count, burnRate: positive })),
});
const service = record({
  id: { type: 'string', description: '32 hexadecimal digits' },
  name: text,
  bind: text,
  port: count,
  mode: { enum: ['http', 'tcp'] },
  balance: { enum: ['random2', 'roundrobin', 'leastconn'] },
  check: orNull('string'),
  slo: record({
    latency: { ...record({ percentile: positive, milliseconds: positive }), type: ['object', 'null'] },
    availability: orNull('positive'),
  }),
  stack: orNull('string'),
  createdAt: time,
  state: { enum: ['ok', 'degraded', 'down', 'error'] },
  fault: orNull('string'),
  targets: list(
    record({
      instance: text,
      port: count,
      weight: count,
      drain: { type: 'boolean' },
      address: orNull('string'),
      state: { enum: ['up', 'drained', 'down', 'checking', 'absent'] },
      reason: orNull('string'),
      ...traffic,
    }),
  ),
  ...traffic,
  objectives: list(objective),
  proxy: {
    ...record({
      pid: count,
      restarts: { ...count, description: 'Times HAProxy died and was started again' },
      lostConnections: { ...count, description: 'Of this service, cut by that' },
    }),
    type: ['object', 'null'],
  },
});

export const answers = {
  stats: record({ instances: list(instanceStats) }),
  statsSeries: record({
    name: text,
    id: text,
    stepSeconds: number,
    times: { ...list(number), description: 'Begin of each step, seconds since 1970' },
    values: {
      type: 'object',
      description: 'By metric: the mean of each step or null',
      additionalProperties: list(orNull('number')),
    },
    peaks: {
      type: 'object',
      description: 'By metric: the largest of each step or null',
      additionalProperties: list(orNull('number')),
    },
  }),
  version: record({ version: text, apiVersion: { enum: [1] }, pid: count, startedAt: time, home: text }),
  doctor: record({
    checks: list(
      record({ id: text, status: { enum: ['ok', 'warn', 'missing'] }, summary: text, hint: text }, ['hint']),
    ),
    drivers: list(
      record({
        name: text,
        availability: record(
          { available: { type: 'boolean' }, reason: text, hint: text, accelerator: { enum: ['kvm', 'tcg'] } },
          ['hint', 'accelerator'],
        ),
        capabilities,
      }),
    ),
    auto: record({ driver: orNull('string'), reason: text }),
  }),
  status: record(statusProperties),
  details: record({
    ...statusProperties,
    real: { type: ['object', 'null'], description: 'Where its kernel really is, read from the host kernel' },
    capabilities: { ...capabilities, type: ['object', 'null'] },
    paths: record({ directory: text, consoleLog: text, log: text }),
  }),
  instances: record({ instances: list(record(statusProperties)) }),
  channel,
  channels: record({ channels: list(channel) }),
  service,
  services: record({ services: list(service) }),
  images: record({
    images: list(
      record({
        name: text,
        digest: text,
        kind: { enum: ['uml', 'x86_64'] },
        version: text,
        sizeBytes: count,
        source: text,
        createdAt: time,
      }),
    ),
  }),
};

const body = (properties: Record<string, object>, required: string[] = []): Schema =>
  ({ type: 'object', additionalProperties: false, properties, required }) as Schema;

const milliseconds = { type: 'integer', minimum: 0, maximum: 3_600_000, description: 'Milliseconds' } as const;
const path = {
  type: 'string',
  pattern: '^/[^\\0]*$',
  maxLength: 4096,
  'x-hint': 'Give an absolute path in the guest.',
} as const;
const imageName = { type: 'string', minLength: 1, maxLength: 200 } as const;

export const requests = {
  create: createRequestSchema as Schema,
  empty: body({}),
  channel: channelRequestSchema as Schema,
  service: serviceRequestSchema as Schema,
  target: targetChangeSchema as Schema,
  stop: body({ graceMs: { ...milliseconds, description: "Milliseconds. Default: the instance's stopGraceMs" } }),
  kill: body({
    signal: {
      type: 'integer',
      minimum: 1,
      maximum: 64,
      description: 'Absent or 9: the kernel is killed. Else sent to the workload',
    },
  }),
  exec: body(
    {
      command: commandSchema,
      env: environmentSchema,
      cwd: path,
      user: createRequestSchema.properties.user,
      tty: { type: 'boolean' },
      rows: createRequestSchema.properties.rows,
      columns: createRequestSchema.properties.columns,
    },
    ['command'],
  ),
  pool: body(
    {
      cpus: { type: 'array', items: { ...count, maximum: 65_535 }, maxItems: 65_536 },
      sharedCpus: { type: 'array', items: { ...count, maximum: 65_535 }, maxItems: 65_536 },
      memory: {
        anyOf: [
          body({ kind: { enum: ['size'] }, bytes: { type: 'integer', minimum: 1 } }, ['kind', 'bytes']),
          body({ kind: { enum: ['nodes'] }, memory: nodeMemorySchema as Schema }, ['kind', 'memory']),
          body({ kind: { enum: ['share'] } }, ['kind']),
        ],
        description: 'kind share: each node gives in proportion to its CPUs',
      },
      devices: { type: 'array', items: { type: 'string', maxLength: 32 }, maxItems: 65_536 },
    },
    ['cpus', 'sharedCpus', 'memory', 'devices'],
  ),
  stack: body(
    {
      text: { type: 'string', maxLength: 1_048_576, description: 'The stack file' },
      file: { type: 'string', maxLength: 4096, description: 'Its name, for messages' },
      directory: { ...path, description: 'Absolute: what relative paths in it are below' },
      defaultName: { type: 'string', maxLength: 63, description: 'Name of the stack where the file gives none' },
    },
    ['text', 'file', 'directory', 'defaultName'],
  ),
  destroy: body({ stack: { type: 'string', minLength: 1, maxLength: 63 } }, ['stack']),
  pull: body({ name: imageName }, ['name']),
  import: body({ name: imageName, kernel: path, modules: path }, ['name', 'kernel']),
  prewarm: body({
    name: imageName,
    driver: createRequestSchema.properties.driver,
    cpus: createRequestSchema.properties.cpus,
    memoryBytes: createRequestSchema.properties.memoryBytes,
  }),
  streamCommand: body({
    signal: { type: 'integer', minimum: 1, maximum: 64 },
    resize: body(
      {
        rows: { type: 'integer', minimum: 1, maximum: 65_535 },
        columns: { type: 'integer', minimum: 1, maximum: 65_535 },
      },
      ['rows', 'columns'],
    ),
  }),
};

const duration = {
  type: 'string',
  minLength: 1,
  maxLength: 32,
  'x-hint': 'Write numbers with units from large to small, such as 250ms, 10s, 5m or 1h30m.',
} as const;

export const queries = {
  remove: body({ force: { type: 'boolean' } }),
  logs: body({
    follow: { type: 'boolean' },
    tail: { type: 'integer', minimum: 0, maximum: 10_000_000, description: 'Only the last N lines' },
    since: {
      type: 'string',
      pattern: '^\\d{4}-\\d\\d-\\d\\d(T\\d\\d:\\d\\d(:\\d\\d(\\.\\d{1,9})?)?(Z|[+-]\\d\\d:?\\d\\d)?)?$',
      description: 'ISO 8601',
      'x-hint': 'Give an ISO 8601 time such as 2026-01-31T12:00:00Z.',
    },
    source: { enum: ['workload', 'console'], description: 'Default workload' },
  }),
  readFile: body({ path }, ['path']),
  writeFile: body({ path, mode: { type: 'string', pattern: '^0?[0-7]{3,4}$', description: 'Octal. Default 0644' } }, [
    'path',
  ]),
  none: body({}),
  stats: body({
    since: { ...duration, description: 'How far back, such as 10m; default 10m, at most 31d' },
    step: { ...duration, description: 'Length of a step, such as 10s; default: about 300 steps' },
  }),
  events: body({ since: { ...count, description: 'The last sequence number already seen' } }),
};
