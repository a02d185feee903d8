/** The request for a service as JSON Schema: its check, the API's contract and its type in one. */
import type { Value } from '../core/schema.ts';

const port = {
  type: 'integer',
  minimum: 1,
  maximum: 65_535,
  'x-hint': 'Give a TCP port from 1 to 65535, such as 8080.',
} as const;
const weight = {
  type: 'integer',
  minimum: 0,
  maximum: 256,
  description: 'Share of the requests, relative to the other targets; 0 = none',
  'x-hint': 'Give a number from 0 to 256; a target has 100 unless told otherwise.',
} as const;
/** So many targets a service has at most. */
const MOST_TARGETS = 256;

export const serviceRequestSchema = {
  title: 'ServiceRequest',
  type: 'object',
  additionalProperties: false,
  required: ['name', 'port', 'targets'],
  properties: {
    name: { type: 'string', description: 'Unique among services' },
    port: { ...port, description: 'Of this machine' },
    bind: { type: 'string', maxLength: 45, description: 'IP address of this machine. Default 127.0.0.1' },
    targets: {
      type: 'array',
      minItems: 1,
      maxItems: MOST_TARGETS,
      'x-hint': 'Name the instances that get the requests, such as web1,web2:80.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['instance'],
        properties: {
          instance: { type: 'string', maxLength: 63, description: 'Name of an instance, which need not exist yet' },
          port: { ...port, description: 'In the instance. Default: that of the service' },
          weight: { ...weight, description: `${weight.description}. Default 100` },
        },
      },
    },
    mode: { enum: ['http', 'tcp'], description: 'What is balanced: requests or connections. Default http' },
    balance: {
      enum: ['random2', 'roundrobin', 'leastconn'],
      description: 'random2: the less loaded of two picked at random. Default random2',
    },
    check: {
      type: 'string',
      maxLength: 256,
      pattern: '^/[A-Za-z0-9/._~!&()*+,;=:@%?-]*$',
      description: 'Path that a healthy instance answers with 200 to 399. Default: accepting connections is healthy',
      'x-hint': 'Give a path such as /health.',
    },
    slo: {
      type: 'object',
      additionalProperties: false,
      properties: {
        latency: {
          type: 'object',
          additionalProperties: false,
          required: ['percentile', 'milliseconds'],
          properties: {
            percentile: {
              type: 'number',
              minimum: 1,
              maximum: 99.999,
              'x-hint': 'Give a percentile below 100, such as 99 or 99.9.',
            },
            milliseconds: {
              type: 'number',
              minimum: 0.001,
              maximum: 3_600_000,
              'x-hint': 'Give a time such as p99=20ms.',
            },
          },
        },
        availability: {
          type: 'number',
          minimum: 1,
          maximum: 99.9999,
          description: 'Per cent of the requests',
          'x-hint': 'Give per cents below 100, such as 99.9.',
        },
      },
    },
  },
} as const;

export const targetChangeSchema = {
  type: 'object',
  additionalProperties: false,
  properties: { weight, drain: { type: 'boolean', description: 'No new connections' } },
} as const;

/** What a person asks for. */
export type ServiceRequest = Value<typeof serviceRequestSchema>;
export type TargetRequest = ServiceRequest['targets'][number];
/** What is promised. */
export type Slo = NonNullable<ServiceRequest['slo']>;
/** A change of one target; what is absent stays. */
export type TargetChange = Value<typeof targetChangeSchema>;
