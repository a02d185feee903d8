import type { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { queries } from '../schemas.ts';

interface Named {
  Params: { name: string };
}

/** Files into and out of a guest, streamed. */
export function registerFiles(server: FastifyInstance, context: ApiContext): void {
  const tags = ['files'];
  // The content is a stream of any length; nothing here holds it.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { bodyLimit: Number.MAX_SAFE_INTEGER }, (_request, payload, done) =>
    done(null, payload),
  );

  server.get<Named & { Querystring: { path: string } }>(
    '/v1/instances/:name/files',
    {
      schema: describe({
        summary: 'Content of a file in the guest',
        tags,
        querystring: queries.readFile,
        produces: ['application/octet-stream'],
      }),
    },
    async (request, reply) => {
      const content = await context.supervisor.get(request.params.name).guest().readFile(request.query.path);
      return reply.type('application/octet-stream').send(content);
    },
  );

  server.put<Named & { Querystring: { path: string; mode?: string }; Body: Readable | undefined }>(
    '/v1/instances/:name/files',
    {
      schema: describe({
        summary: 'Write a file in the guest',
        tags,
        querystring: queries.writeFile,
        consumes: ['application/octet-stream'],
      }),
    },
    async (request, reply) => {
      const guest = context.supervisor.get(request.params.name).guest();
      const mode = Number.parseInt(request.query.mode ?? '0644', 8);
      await guest.writeFile(request.query.path, mode, request.body ?? new Uint8Array());
      return reply.code(204).send();
    },
  );
}
