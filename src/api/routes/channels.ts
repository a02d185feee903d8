import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { answers, queries, requests } from '../schemas.ts';

interface Named {
  Params: { name: string };
}

/** Rings of shared memory between two ends. */
export function registerChannels(server: FastifyInstance, { channels }: ApiContext): void {
  const tags = ['channels'];

  server.get(
    '/v1/channels',
    { schema: describe({ summary: 'All channels', tags, response: { 200: answers.channels } }) },
    async () => ({ channels: channels.list() }),
  );

  server.post(
    '/v1/channels',
    {
      schema: describe({
        summary: 'Create a channel',
        description: 'Its ends need not exist yet. Kernels that can be given memory while they run see it at once.',
        tags,
        body: requests.channel,
        response: { 201: answers.channel },
      }),
    },
    async (request, reply) => reply.code(201).send(await channels.create(request.body)),
  );

  server.get<Named>(
    '/v1/channels/:name',
    { schema: describe({ summary: 'One channel', tags, response: { 200: answers.channel } }) },
    async (request) => channels.get(request.params.name),
  );

  server.delete<Named & { Querystring: { force?: boolean } }>(
    '/v1/channels/:name',
    {
      schema: describe({
        summary: 'Remove a channel',
        description: 'One that a program is attached to only with force, which gives that program an error.',
        tags,
        querystring: queries.remove,
      }),
    },
    async (request, reply) => {
      await channels.remove(request.params.name, request.query.force);
      return reply.code(204).send();
    },
  );
}
