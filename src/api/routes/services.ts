import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { answers, requests } from '../schemas.ts';

interface Named {
  Params: { name: string };
}

/** Ports of this machine whose requests go to several instances. */
export function registerServices(server: FastifyInstance, { services }: ApiContext): void {
  const tags = ['services'];

  server.get(
    '/v1/services',
    { schema: describe({ summary: 'All services', tags, response: { 200: answers.services } }) },
    async () => ({ services: await services.list() }),
  );

  server.post(
    '/v1/services',
    {
      schema: describe({
        summary: 'Create a service',
        description: 'Its targets need not exist yet: they get requests as soon as they can be reached.',
        tags,
        body: requests.service,
        response: { 201: answers.service },
      }),
    },
    async (request, reply) => reply.code(201).send(await services.create(request.body)),
  );

  server.get<Named>(
    '/v1/services/:name',
    { schema: describe({ summary: 'One service', tags, response: { 200: answers.service } }) },
    async (request) => services.get(request.params.name),
  );

  server.put<Named>(
    '/v1/services/:name',
    {
      schema: describe({
        summary: 'Change a service',
        description: 'It becomes as asked; connections to targets that stay are kept.',
        tags,
        body: requests.service,
        response: { 200: answers.service },
      }),
    },
    async ({ params, body }) => services.replace({ ...(body as object), name: params.name }),
  );

  server.delete<Named>(
    '/v1/services/:name',
    { schema: describe({ summary: 'Remove a service', description: 'Its connections are cut.', tags }) },
    async (request, reply) => {
      await services.remove(request.params.name);
      return reply.code(204).send();
    },
  );

  server.post<{ Params: { name: string; instance: string } }>(
    '/v1/services/:name/targets/:instance',
    {
      schema: describe({
        summary: 'Change a target of a service',
        description: 'At once, and without any connection lost.',
        tags,
        body: requests.target,
        response: { 200: answers.service },
      }),
    },
    async ({ params, body }) => services.change(params.name, params.instance, body),
  );
}
