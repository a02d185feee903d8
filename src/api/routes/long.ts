import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { errorAnswer } from '../errors.ts';
import type { ProgressLine } from '../types.ts';
import { untilGone } from './abort.ts';

interface LongRoute {
  path: string;
  summary: string;
  tags: string[];
  /** JSON Schema. */
  body: object;
}

/** A POST route whose answer is a stream of progress lines that ends with `done` or `error`. */
export function longRoute<Body, Done>(
  server: FastifyInstance,
  context: ApiContext,
  { path, ...route }: LongRoute,
  action: (body: Body, progress: (text: string) => void, signal: AbortSignal) => Promise<Done>,
): void {
  const description = 'Lines of JSON: {progress}, then {done} or {error}.';
  server.post<{ Body: Body }>(
    path,
    { schema: describe({ ...route, description, produces: ['application/x-ndjson'] }) },
    (request, reply) => {
      const signal = untilGone(reply, context);
      void streamProgress(reply, context, (progress) => action((request.body ?? {}) as Body, progress, signal));
    },
  );
}

async function streamProgress<Done>(
  reply: FastifyReply,
  context: ApiContext,
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
