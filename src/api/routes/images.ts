import type { FastifyInstance } from 'fastify';
import { PolykernelError } from '../../sys/errors.ts';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { answers, queries, requests } from '../schemas.ts';
import type { ImportRequest, PrewarmRequest } from '../types.ts';
import { longRoute } from './long.ts';

/** Kernel images. What takes long answers with lines of progress. */
export function registerImages(server: FastifyInstance, context: ApiContext): void {
  const { images, supervisor } = context;
  const tags = ['images'];

  server.get(
    '/v1/images',
    { schema: describe({ summary: 'All kernel images', tags, response: { 200: answers.images } }) },
    async () => ({ images: await images.list() }),
  );

  server.delete<{ Params: { name: string } }>(
    '/v1/images/:name',
    { schema: describe({ summary: 'Remove a kernel image', tags, querystring: queries.none }) },
    async (request, reply) => {
      const users = (name: string) =>
        supervisor
          .list()
          .filter((instance) => instance.record.spec.image === name)
          .map((instance) => instance.name);
      await images.remove(request.params.name, users);
      return reply.code(204).send();
    },
  );

  const long = <Body, Done>(
    path: string,
    summary: string,
    body: object,
    action: (body: Body, progress: (text: string) => void, signal: AbortSignal) => Promise<Done>,
  ) => longRoute(server, context, { path, summary, tags, body }, action);

  long<{ name: string }, unknown>(
    '/v1/images/pull',
    "Get one of the distribution's kernels",
    requests.pull,
    (body, progress, signal) => images.pull(body.name, progress, signal),
  );
  long<ImportRequest, unknown>(
    '/v1/images/import',
    'Take in a kernel of your own',
    requests.import,
    (body, progress, signal) => images.import(body, progress, signal),
  );
  long<PrewarmRequest, unknown>(
    '/v1/images/prewarm',
    'Make the template that later starts are cloned from',
    requests.prewarm,
    async (body, progress, signal) => {
      progress('choosing the driver');
      const done = await supervisor.prewarm(body, signal);
      if (signal.aborted) throw new PolykernelError('unavailable', 'the client went away');
      return done;
    },
  );
}
