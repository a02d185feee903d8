/** Numbers of instances in the API. docs/telemetry.md explains every number. */
import { download, get, routes } from '../core/route.ts';
import {
  count,
  id,
  listOf,
  mapOf,
  named,
  number,
  numbers,
  oneOf,
  orNull,
  record,
  request,
  text,
  time,
} from '../core/schema.ts';
import type { Schema } from '../core/validate.ts';
import {
  type ChannelStats,
  CPU_STATES,
  type GuestStats,
  type HostStats,
  type InstanceStats,
  type PressureStats,
  type RequestStats,
  type StatsSeries,
} from './types.ts';

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Numbers by these names. */
const counted = (...names: readonly string[]): Schema => ({
  type: 'object',
  properties: Object.fromEntries(names.map((name) => [name, number])),
  required: names,
});
const share = { ...named('CpuStates', counted(...CPU_STATES)), description: 'In CPUs by state' };
const stall = counted('some', 'full');
const seconds = {
  type: 'object',
  properties: { cpu: orNull(stall), memory: orNull(stall), io: orNull(stall) },
} as const;

const guest = named(
  'GuestStats',
  record<GuestStats>({
    at: time,
    cpus: orNull({ type: 'integer' }),
    cpuSeconds: { ...orNull(share), description: 'Since its boot, by state' },
    cpu: orNull(share),
    busy: orNull(number),
    runQueue: orNull({ type: 'integer' }),
    blocked: orNull({ type: 'integer' }),
    pressure: record<PressureStats>({
      source: oneOf('psi', 'run-queue'),
      cpu: orNull(number),
      memory: orNull(number),
      io: orNull(number),
      seconds: orNull(seconds),
    }),
    memory: orNull(counted('totalBytes', 'availableBytes', 'usedBytes', 'cachedBytes')),
    faults: orNull(counted('minor', 'major', 'refaults', 'minorPerSecond', 'majorPerSecond', 'refaultsPerSecond')),
    disk: orNull(mapOf(number)),
    network: orNull(mapOf(number)),
  }),
);

const host = named(
  'HostStats',
  record<HostStats>({
    at: time,
    cpu: number,
    delay: number,
    overGuest: orNull(number),
    others: number,
    othersSeconds: number,
    vcpus: listOf(counted('ranSeconds', 'delaySeconds', 'cpu', 'delay')),
    residentBytes: orNull({ type: 'integer' }),
  }),
);

const channel = record<ChannelStats>({
  name: text,
  side: oneOf('send', 'recv'),
  depthBytes: count,
  sizeBytes: count,
  messages: count,
  bytes: count,
  stalls: count,
  drops: count,
});

const requests = record<RequestStats>({
  ratePerSecond: number,
  errorsPerSecond: number,
  inFlight: number,
  latencyMs: record<RequestStats['latencyMs']>({ p50: orNull(number), p90: orNull(number), p99: orNull(number) }),
});

const stats = named(
  'InstanceStats',
  record<InstanceStats>({
    name: text,
    id: text,
    state: text,
    driver: text,
    vcpus: count,
    memoryBytes: count,
    at: orNull(time),
    restarts: count,
    readyMs: orNull(number),
    guest: orNull(guest),
    host: orNull(host),
    channels: listOf(channel),
    requests: orNull(requests),
  }),
);

const byMetric = mapOf(listOf(orNull(number)));
const series = named(
  'StatsSeries',
  record<StatsSeries>({
    name: text,
    id,
    stepSeconds: number,
    times: { ...numbers, description: 'Begin of each step, seconds since 1970' },
    values: { ...byMetric, description: 'By metric: the mean of each step or null' },
    peaks: { ...byMetric, description: 'By metric: the largest of each step or null' },
  }),
);

const duration = {
  type: 'string',
  minLength: 1,
  maxLength: 32,
  'x-hint': 'Write numbers with units from large to small, such as 250ms, 10s, 5m or 1h30m.',
} as const;

export const telemetryApi = routes('telemetry', {
  /** The latest numbers of all instances. */
  stats: get('/v1/stats', { summary: 'The latest numbers of all instances', list: 'instances', answer: stats }),
  /** Numbers over time; `since` and `step` as durations, such as `10m`. */
  statsSeries: get('/v1/instances/:name/stats', {
    summary: 'Numbers of an instance over time',
    description:
      'Full grain for ten minutes, steps of 10 s for a day, of 5 min for a month: a shorter step is not made up.',
    query: request({
      since: { ...duration, description: 'How far back, such as 10m; default 10m, at most 31d' },
      step: { ...duration, description: 'Length of a step, such as 10s; default: about 300 steps' },
    }),
    answer: series,
  }),
  metrics: download('/metrics', { summary: 'All of it for Prometheus', produces: METRICS_CONTENT_TYPE }),
});
