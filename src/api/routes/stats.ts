import type { FastifyInstance } from 'fastify';
import { PolykernelError } from '../../sys/errors.ts';
import { formatDuration, parseDuration } from '../../sys/units.ts';
import { METRICS_CONTENT_TYPE } from '../../telemetry/contract.ts';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { answers, queries } from '../schemas.ts';

const DEFAULT_SINCE = '10m';
const MOST_MS = 31 * 24 * 3600 * 1000;

/** What instances do, in numbers. */
export function registerStats(server: FastifyInstance, { telemetry, supervisor }: ApiContext): void {
  const tags = ['telemetry'];

  server.get(
    '/v1/stats',
    { schema: describe({ summary: 'The latest numbers of all instances', tags, response: { 200: answers.stats } }) },
    async () => ({ instances: telemetry.stats() }),
  );

  server.get<{ Params: { name: string }; Querystring: { since?: string; step?: string } }>(
    '/v1/instances/:name/stats',
    {
      schema: describe({
        summary: 'Numbers of an instance over time',
        description:
          'Full grain for ten minutes, steps of 10 s for a day, of 5 min for a month: a shorter step is not made up.',
        tags,
        querystring: queries.stats,
        response: { 200: answers.statsSeries },
      }),
    },
    async (request) => {
      const { record, name } = supervisor.get(request.params.name);
      const { since = DEFAULT_SINCE, step } = request.query;
      const stepMs = step === undefined ? undefined : duration(step, 'step');
      return telemetry.series(name, record.id, duration(since, 'since'), stepMs);
    },
  );

  server.get(
    '/metrics',
    { schema: describe({ summary: 'All of it for Prometheus', tags, produces: [METRICS_CONTENT_TYPE] }) },
    async (_request, reply) => reply.type(METRICS_CONTENT_TYPE).send(telemetry.metrics()),
  );
}

function duration(text: string, field: string): number {
  const milliseconds = parseDuration(text, field);
  if (milliseconds > 0 && milliseconds <= MOST_MS) return milliseconds;
  throw new PolykernelError('invalid', `${field}: ${JSON.stringify(text)} is not between 1ms and 31d`, {
    field,
    value: text,
    hint: `Numbers are kept for ${formatDuration(MOST_MS)}.`,
  });
}
