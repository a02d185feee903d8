/** Services in the API: what is asked, what is answered, and the routes. */
import { del, get, post, put, routes } from '../core/route.ts';
import { count, flag, id, listOf, named, number, oneOf, orNull, positive, record, text, time } from '../core/schema.ts';
import { serviceRequestSchema, targetChangeSchema } from './request.ts';
import type {
  BurnWindow,
  LatencySummary,
  ObjectiveStatus,
  ProxyStatus,
  ServiceStatus,
  StandInStatus,
  TargetStatus,
  TrafficTotals,
} from './types.ts';

export { serviceRequestSchema };

const milliseconds = { ...orNull(number), description: 'Milliseconds, within 1 %' };
const latency = named(
  'LatencySummary',
  record<LatencySummary>({
    samples: count,
    p50: milliseconds,
    p90: milliseconds,
    p99: milliseconds,
    p999: milliseconds,
    max: milliseconds,
  }),
);

type Traffic = TrafficTotals & Pick<ServiceStatus, 'inFlight' | 'requestsPerSecond' | 'latency'>;
const traffic = {
  requests: { ...count, description: 'Since the service was made; in tcp mode connections' },
  errors: { ...count, description: 'Status 500 and above; in tcp mode broken connections' },
  connectErrors: { ...count, description: 'Attempts to connect that failed, most of which were repeated' },
  retries: count,
  inFlight: count,
  requestsPerSecond: positive,
  latency,
} satisfies Record<keyof Traffic, object>;

const objective = named(
  'ObjectiveStatus',
  record<ObjectiveStatus>({
    kind: oneOf('latency', 'availability'),
    text,
    target: { ...positive, description: 'Share of good requests that is promised' },
    state: oneOf('met', 'lost', 'none'),
    since: time,
    attainment: { ...orNull(number), description: 'Share of good requests in the last hour' },
    budget: record<ObjectiveStatus['budget']>({
      allowed: positive,
      spent: positive,
      left: { ...positive, description: 'Share, from 0 to 1' },
    }),
    burn: listOf(record<BurnWindow>({ window: oneOf('5m', '1h'), requests: count, bad: count, burnRate: positive })),
  }),
);

const target = named(
  'TargetStatus',
  record<TargetStatus>({
    instance: text,
    port: count,
    weight: count,
    weightNow: { ...count, description: 'By which it gets requests: balancing may have them go where CPUs are' },
    drain: flag,
    address: orNull(text),
    state: oneOf('up', 'drained', 'down', 'checking', 'absent'),
    reason: orNull(text),
    isItself: { ...flag, description: 'Its own kernel answers' },
    standIn: {
      ...orNull(record<StandInStatus>({ instance: text, serves: flag, answers: flag, inFlight: count })),
      description: 'What stands by for it',
    },
    ...traffic,
  }),
);

const proxy = record<ProxyStatus>({
  pid: count,
  restarts: { ...count, description: 'Times HAProxy died and was started again' },
  lostConnections: { ...count, description: 'Of this service, cut by that' },
});

const promise = record<NonNullable<ServiceStatus['slo']['latency']>>({ percentile: positive, milliseconds: positive });

const service = named(
  'ServiceStatus',
  record<ServiceStatus>({
    id,
    name: text,
    bind: text,
    port: count,
    mode: oneOf('http', 'tcp'),
    balance: oneOf('random2', 'roundrobin', 'leastconn'),
    check: orNull(text),
    slo: record<ServiceStatus['slo']>({ latency: orNull(promise), availability: orNull(positive) }),
    stack: orNull(text),
    createdAt: time,
    state: oneOf('ok', 'degraded', 'down', 'error'),
    fault: orNull(text),
    targets: listOf(target),
    ...traffic,
    objectives: listOf(objective),
    proxy: orNull(proxy),
  }),
);

export const serviceApi = routes('services', {
  services: get('/v1/services', { summary: 'All services', list: 'services', answer: service }),
  createService: post('/v1/services', {
    summary: 'Create a service',
    description: 'Its targets need not exist yet: they get requests as soon as they can be reached.',
    body: serviceRequestSchema,
    answer: service,
    status: 201,
  }),
  service: get('/v1/services/:name', { summary: 'One service', answer: service }),
  replaceService: put('/v1/services/:name', {
    summary: 'Change a service',
    description: 'It becomes as asked; connections to targets that stay are kept.',
    body: serviceRequestSchema,
    answer: service,
  }),
  removeService: del('/v1/services/:name', { summary: 'Remove a service', description: 'Its connections are cut.' }),
  changeTarget: post('/v1/services/:name/targets/:instance', {
    summary: 'Change a target of a service',
    description: 'At once, and without any connection lost.',
    body: targetChangeSchema,
    answer: service,
  }),
});
