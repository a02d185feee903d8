import type { FastifySchema } from 'fastify';

/** What a route takes and gives, with what OpenAPI says about it. */
interface RouteDescription {
  summary?: string;
  description?: string;
  tags?: string[];
  hide?: boolean;
  consumes?: string[];
  produces?: string[];
  body?: object;
  querystring?: object;
  response?: Record<number, object>;
}

/** fastify's own type lacks the words that the OpenAPI plugin reads. */
export const describe = (route: RouteDescription): FastifySchema => route as FastifySchema;
