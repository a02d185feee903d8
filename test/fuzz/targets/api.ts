/** Bodies and queries of HTTP requests, and whole requests. */
import type { FastifyInstance } from 'fastify';
import { channelRequestSchema } from '../../../src/channel/api.ts';
import { type ChannelRequest, resolveChannel } from '../../../src/channel/contract.ts';
import { CONTRACTS } from '../../../src/client/contracts.ts';
import type { Route } from '../../../src/core/route.ts';
import { createApi } from '../../../src/core/server.ts';
import { type Schema, validate } from '../../../src/core/validate.ts';
import { execRequest, streamCommand } from '../../../src/instance/requests.ts';
import { checkCreateRequest } from '../../../src/instance/schema.ts';
import { serviceRequestSchema } from '../../../src/service/api.ts';
import type { ServiceRequest } from '../../../src/service/contract.ts';
import { checked } from '../../../src/service/service-request.ts';
import { PolykernelError } from '../../../src/sys/errors.ts';
import { type Parts, servedOf } from '../../support/api.ts';
import { must, type Target } from '../target.ts';

const ROUTES: readonly Route[] = CONTRACTS.flatMap(({ routes }) => Object.values<Route>(routes));
const SCHEMAS: readonly Schema[] = [
  ...new Set([...ROUTES.flatMap(({ body }) => body ?? []), execRequest, streamCommand]),
];
const QUERIES: readonly Schema[] = [...new Set(ROUTES.flatMap(({ query }) => query ?? []))];
const FIELDS = [...new Set([...SCHEMAS, ...QUERIES].flatMap((schema) => Object.keys(schema.properties ?? {})))];

/** The first byte chooses what it is a body or query of. */
const bodies: Target = {
  name: 'api-bodies',
  dictionary: [
    ...FIELDS.map((field) => `"${field}":`),
    ...[
      '{"command":["true"]}',
      '"kind":"size"',
      '"volumes":[{"source":"/","target":"/data"}]',
      '"partition":{"cpus":{"kind":"count","count":2}}',
    ],
    ...[
      '{',
      '}',
      '[',
      ']',
      ',',
      'null',
      'true',
      '-1',
      '1e400',
      '""',
      '"\\u0000"',
      '"__proto__":{"x":1},',
      '"constructor":',
      '"toString":',
    ],
  ],
  run(input) {
    const choice = input[0] ?? 0;
    const json = input.toString('utf8', 1);
    if (choice >= 200) return validate(QUERIES[choice % QUERIES.length]!, queryOf(json), { coerce: true });
    const value = parsed(json);
    if (choice >= 160) return checkCreateRequest(value);
    if (choice >= 130) return checked(validate(serviceRequestSchema, value) as ServiceRequest);
    if (choice >= 110) return resolveChannel(validate(channelRequestSchema, value) as ChannelRequest);
    const valid = validate(SCHEMAS[choice % SCHEMAS.length]!, value);
    must(
      JSON.stringify(validate(SCHEMAS[choice % SCHEMAS.length]!, valid)) === JSON.stringify(valid),
      'valid is valid',
    );
    return valid;
  },
};

let server: FastifyInstance | undefined;
let complaint: unknown;

/** Has nothing: what gets through the checks finds no instance, channel or image. */
function emptyParts(): Parts {
  const nothing = new Proxy(
    {},
    {
      get: () => () => {
        throw new PolykernelError('not-found', 'there is nothing');
      },
    },
  );
  return new Proxy({ shutdown: () => {} } as unknown as Parts, {
    get: (own, key) => (Reflect.get(own, key) as unknown) ?? nothing,
    has: () => true,
  });
}

/** `METHOD PATH\nBODY`. */
const http: Target = {
  name: 'api-http',
  dictionary: [
    ...[
      'GET /v1/instances',
      'POST /v1/instances\n{"command":["true"]}',
      'PUT ',
      'DELETE ',
      '/v1/instances/web/files?path=/etc/motd',
      '/v1/',
    ],
    ...[
      '/stop',
      '/kill',
      '/stats?since=10m',
      '/logs?follow=1&tail=5',
      '/channels',
      '/services/web',
      '/images',
      '/pool',
      '/stacks',
      '?',
      '&',
      '=',
    ],
    ...[
      '%00',
      '%2e%2e%2f',
      '%ff',
      '//',
      '#',
      '\n{',
      '}',
      '"graceMs":1',
      '\n',
      '/topology',

      '/plan',
      '/openapi.json',
    ],
  ],
  output: { base: 1024 * 1024, perByte: 64 }, // /openapi.json
  steps: { base: 20_000, perByte: 2000 },
  async run(input) {
    server ??= createApi(servedOf(emptyParts()), {
      ending: new AbortController().signal,
      settled: async () => {},
      complain: (_text, error) => {
        complaint = error;
      },
    });
    const [line = '', ...rest] = input.toString('latin1').split('\n');
    const [method = '', url = ''] = line.split(' ');
    // The stream of events has no end.
    if (/^\/v1\/.{0,20}(events|%)/.test(url)) return undefined;
    if (!/^(GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS)$/.test(method) || !/^\/[!-~]*$/.test(url)) return undefined;
    complaint = undefined;
    const body = rest.join('\n');
    const answer = await server.inject({
      method: method as 'GET',
      url,
      ...(body !== '' && { payload: body, headers: { 'content-type': 'application/json' } }),
    });
    if (complaint !== undefined) throw complaint;
    must(!/\n {4}at /.test(answer.payload), 'no stack in an answer');
    must(answer.statusCode < 500, `status ${answer.statusCode}: ${answer.payload}`);
    return [answer.statusCode, answer.payload];
  },
};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function queryOf(text: string): unknown {
  return Object.fromEntries(new URLSearchParams(text));
}

export const apiTargets: readonly Target[] = [bodies, http];
