import type { FastifyInstance, FastifyReply } from 'fastify';
import type { DriverName } from '../../driver/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { errorAnswer } from '../errors.ts';
import { answers, queries, requests } from '../schemas.ts';
import type { ImportRequest, PrewarmRequest, ProgressLine } from '../types.ts';
import { untilGone } from './abort.ts';

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

  /** A route whose answer is a stream of progress lines that ends with `done` or `error`. */
  function long<Body, Done>(
    path: string,
    summary: string,
    body: object,
    action: (body: Body, progress: (text: string) => void, signal: AbortSignal) => Promise<Done>,
  ): void {
    const description = 'Lines of JSON: {progress}, then {done} or {error}.';
    server.post<{ Body: Body }>(
      path,
      { schema: describe({ summary, description, tags, body, produces: ['application/x-ndjson'] }) },
      (request, reply) => {
        const signal = untilGone(reply, context);
        void streamProgress(reply, (progress) => action((request.body ?? {}) as Body, progress, signal));
      },
    );
  }

  async function streamProgress<Done>(
    reply: FastifyReply,
    action: (progress: (text: string) => void) => Promise<Done>,
  ): Promise<void> {
    reply.hijack();
    const { raw } = reply;
    raw.on('error', () => {});
    raw.writeHead(200, { 'content-type': 'application/x-ndjson' });
    const send = (line: ProgressLine<Done>) => raw.write(`${JSON.stringify(line)}\n`);
    try {
      send({ done: await action((text) => send({ progress: text })) });
    } catch (error) {
      send(errorAnswer(error, context).body);
    }
    raw.end();
  }

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
  long<PrewarmRequest & { driver?: 'auto' | DriverName }, unknown>(
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
