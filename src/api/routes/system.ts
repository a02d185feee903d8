import { open } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import { PolykernelError } from '../../sys/errors.ts';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { answers, queries } from '../schemas.ts';

const OPENAPI = new URL('../openapi.json', import.meta.url);
const KEEP_ALIVE_MS = 30_000;

/** Version, doctor, events, shutdown and the API's own description. */
export function registerSystem(server: FastifyInstance, context: ApiContext): void {
  server.get(
    '/v1/version',
    { schema: describe({ summary: 'The daemon and its API', tags: ['system'], response: { 200: answers.version } }) },
    async () => context.version(),
  );
  server.get(
    '/v1/doctor',
    {
      schema: describe({
        summary: 'What this machine can do and what it lacks',
        tags: ['system'],
        response: { 200: answers.doctor },
      }),
    },
    async () => context.doctor(),
  );
  server.post(
    '/v1/shutdown',
    { schema: describe({ summary: 'End the daemon; kernels run on', tags: ['system'] }) },
    async (_request, reply) => {
      // Once the client has the answer and is gone.
      reply.raw.once('close', () => context.shutdown());
      return reply.code(202).send({});
    },
  );
  server.get('/openapi.json', { schema: describe({ hide: true }) }, async (_request, reply) => {
    // As it is read, not all of it in memory for each client that does not.
    const file = await open(OPENAPI).catch((cause) => {
      throw new PolykernelError('internal', 'the description of the API is missing from this installation', { cause });
    });
    return reply.type('application/json').send(file.createReadStream());
  });

  server.get<{ Querystring: { since?: number } }>(
    '/v1/events',
    {
      schema: describe({
        summary: 'What happens to instances, as server-sent events',
        description:
          'Each event has its sequence number as id and a DaemonEvent as JSON data. Kept: the last 1024 events of this daemon.',
        tags: ['system'],
        querystring: queries.events,
        produces: ['text/event-stream'],
      }),
    },
    (request, reply) => {
      const since = request.query.since ?? lastEventId(request.headers['last-event-id']);
      reply.hijack();
      const { raw } = reply;
      raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      // Something must go out for the client to see that it is connected.
      raw.write(': connected\n\n');
      const write = (event: { sequence: number }) =>
        raw.write(`id: ${event.sequence}\ndata: ${JSON.stringify(event)}\n\n`);
      const send = (event: { sequence: number }) => {
        // A client that does not read is cut off rather than kept in memory.
        if (raw.writableLength > 4 * 1024 * 1024) raw.destroy();
        else write(event);
      };
      // However long the texts are: these are as many as are kept.
      if (since !== undefined) for (const event of context.events.since(since)) write(event);
      const stopListening = context.events.listen(send);
      const timer = setInterval(() => raw.write(': alive\n\n'), KEEP_ALIVE_MS).unref();
      const finish = () => {
        stopListening();
        clearInterval(timer);
        context.ending.removeEventListener('abort', finish);
        raw.end();
      };
      raw.on('close', finish).on('error', () => {});
      context.ending.addEventListener('abort', finish, { once: true });
    },
  );
}

function lastEventId(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}
