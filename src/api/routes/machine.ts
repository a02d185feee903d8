import type { FastifyInstance } from 'fastify';
import type { PoolRequest } from '../../ledger/index.ts';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { queries, requests } from '../schemas.ts';
import type { StackSource } from '../types.ts';
import { longRoute } from './long.ts';

/** The machine, its pool, and stacks. */
export function registerMachine(server: FastifyInstance, context: ApiContext): void {
  const { resources, stacks } = context;
  const tags = ['machine'];

  server.get('/v1/topology', { schema: describe({ summary: 'The machine as it is', tags }) }, async () =>
    resources.topology(),
  );
  server.get('/v1/ledger', { schema: describe({ summary: 'The machine and who owns what of it', tags }) }, async () =>
    resources.machine(),
  );

  server.get('/v1/pool', { schema: describe({ summary: 'What the host has given up', tags }) }, async () =>
    resources.pool(),
  );
  server.post<{ Body: PoolRequest }>(
    '/v1/pool',
    { schema: describe({ summary: 'Give up CPUs, memory and devices for instances', tags, body: requests.pool }) },
    async (request, reply) => reply.code(201).send(await resources.init(request.body)),
  );
  server.post<{ Body: PoolRequest }>(
    '/v1/pool/grow',
    { schema: describe({ summary: 'Give up more', tags, body: requests.pool }) },
    async (request) => resources.grow(request.body),
  );
  server.post<{ Body: PoolRequest }>(
    '/v1/pool/shrink',
    { schema: describe({ summary: 'Take back what no instance owns', tags, body: requests.pool }) },
    async (request) => resources.shrink(request.body),
  );
  server.delete(
    '/v1/pool',
    { schema: describe({ summary: 'Take everything back', tags, querystring: queries.none }) },
    async (_request, reply) => {
      await resources.release();
      return reply.code(204).send();
    },
  );

  server.post<{ Body: StackSource }>(
    '/v1/plan',
    { schema: describe({ summary: 'What applying a stack file would do', tags, body: requests.stack }) },
    async (request) => stacks.plan(request.body),
  );
  longRoute<StackSource, unknown>(
    server,
    context,
    { path: '/v1/apply', summary: 'Make the machine as a stack file says', tags, body: requests.stack },
    (source, progress, signal) => stacks.apply(source, progress, signal),
  );
  longRoute<{ stack: string }, unknown>(
    server,
    context,
    { path: '/v1/destroy', summary: 'Remove every instance of a stack', tags, body: requests.destroy },
    ({ stack }, progress, signal) => stacks.destroy(stack, progress, signal),
  );
}
