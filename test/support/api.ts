/** The API of parts that a test has. */
import type { FastifyInstance } from 'fastify';
import { createApi } from '../../src/core/server.ts';
import { type Parts, routesOf } from '../../src/daemon/routes.ts';

/** What is asked of other parts fails. */
export function apiOf(parts: { [K in keyof Parts]?: unknown }): FastifyInstance {
  return createApi(routesOf(parts as Parts), { ending: new AbortController().signal, complain: () => {} });
}
