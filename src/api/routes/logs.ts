import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { queries } from '../schemas.ts';
import type { LogQuery } from '../types.ts';
import { untilGone } from './abort.ts';

/** What workloads and kernels printed. */
export function registerLogs(server: FastifyInstance, context: ApiContext): void {
  server.get<{ Params: { name: string }; Querystring: LogQuery }>(
    '/v1/instances/:name/logs',
    {
      schema: describe({
        summary: 'Output of the workload or the console',
        description: 'One LogLine per line: {t, s, d} or {t, s, b}.',
        tags: ['instances'],
        querystring: queries.logs,
        produces: ['application/x-ndjson'],
      }),
    },
    async (request, reply) => {
      const signal = untilGone(reply, context);
      const records = context.supervisor.logs(request.params.name, request.query, signal);
      const lines = Readable.from(
        (async function* () {
          // So that the client learns that it is connected before anything was printed.
          yield '\n';
          for await (const record of records) yield `${JSON.stringify(record)}\n`;
        })(),
        { highWaterMark: 16 },
      );
      return reply.type('application/x-ndjson').send(lines);
    },
  );
}
