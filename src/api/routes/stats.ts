import type { FastifyInstance } from 'fastify';
import { PROMETHEUS_TYPE } from '../../telemetry/index.ts';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { answers } from '../schemas.ts';

/** What happens in each kernel. */
export function registerStats(server: FastifyInstance, { telemetry }: ApiContext): void {
  const tags = ['telemetry'];

  server.get(
    '/v1/stats',
    { schema: describe({ summary: 'The last sample of each instance', tags, response: { 200: answers.stats } }) },
    async () => ({ instances: telemetry.stats() }),
  );

  server.get(
    '/metrics',
    { schema: describe({ summary: 'All metrics, in the text format of Prometheus', tags }) },
    async (_request, reply) => reply.type(PROMETHEUS_TYPE).send(telemetry.metrics()),
  );
}
