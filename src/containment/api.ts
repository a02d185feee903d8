/** Trials of containment in the API. */
import { long, routes } from '../core/route.ts';
import {
  count,
  flag,
  listOf,
  named,
  number,
  oneOf,
  orNull,
  record,
  request,
  text,
  texts,
  time,
  typed,
} from '../core/schema.ts';
import { FAULT_NAMES } from './faults.ts';
import type { Figures, Finding, KernelReport, TrialReport, TrialRequest } from './types.ts';

const figures = named(
  'TrialFigures',
  record<Figures>({
    seconds: number,
    requests: count,
    errors: count,
    p50Us: orNull(count),
    p99Us: orNull(count),
    worstUs: orNull(count),
    heard: { ...count, description: 'How much its agent said on the control line' },
  }),
);

const kernel = named(
  'TrialKernel',
  record<KernelReport>({
    name: text,
    instance: { ...text, description: 'What was looked at: itself, or its clone' },
    role: oneOf('victim', 'neighbour'),
    driver: text,
    bootIdBefore: orNull(text),
    bootIdAfter: orNull(text),
    clockMs: { ...orNull(number), description: "By how much its wall clock went away from this machine's at most" },
    before: figures,
    during: figures,
    healing: figures,
    after: figures,
    series: {
      type: 'array',
      description: 'Milliseconds since the beginning, median and worst latency in microseconds',
      items: { type: 'array', items: number },
    },
  }),
);

const finding = record<Finding>({
  about: oneOf('fault', 'kernel', 'health', 'errors', 'work', 'clock', 'latency', 'healing'),
  name: text,
  outcome: { ...oneOf('held', 'broken', 'noted'), description: 'noted: counts for nothing' },
  reason: text,
});

const report = named(
  'TrialReport',
  record<TrialReport>({
    at: time,
    fault: oneOf(...FAULT_NAMES),
    live: flag,
    verdict: {
      ...oneOf('contained', 'leaked', 'not-shown'),
      description: 'not-shown: the fault did not take hold, or the end was not seen',
    },
    healed: flag,
    findings: listOf(finding),
    kernels: listOf(kernel),
    events: listOf(record<TrialReport['events'][number]>({ ms: number, type: text, name: text, message: text })),
    marks: record<TrialReport['marks']>({ faultMs: number, healMs: number, healedMs: number, endMs: number }),
    work: orNull(record<NonNullable<TrialReport['work']>>({ done: count, unit: text })),
    notes: texts,
  }),
);

const name = { type: 'string', minLength: 1, maxLength: 63 } as const;

export const containmentApi = routes('containment', {
  proveContainment: long('/v1/containment/prove', {
    summary: 'Bring about a fault in one kernel and see what becomes of its neighbours',
    description:
      'On clones that are removed afterwards, unless told otherwise. Ends early, and cleans up, when the client goes away.',
    body: typed<TrialRequest>(
      request(
        {
          victim: name,
          neighbours: { type: 'array', items: name, minItems: 1, maxItems: 16, uniqueItems: true },
          fault: { enum: FAULT_NAMES },
          live: { ...flag, description: 'On the instances themselves. Default false' },
          windowMs: {
            type: 'integer',
            minimum: 100,
            maximum: 600_000,
            'x-hint': 'From 100ms to 10m.',
            description: 'How long before the fault, under it and after it at least, in milliseconds. Default 5000',
          },
        },
        'victim',
        'neighbours',
        'fault',
      ),
    ),
    answer: report,
  }),
});
