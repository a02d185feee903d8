/** The HTTP side of the API on fastify: its routes, and errors as bodies. No answer ever holds a stack. */
import type { Socket } from 'node:net';
import { type FastifyInstance, type FastifyReply, fastify, type onRequestHookHandler } from 'fastify';
import { PolykernelError } from '../sys/errors.ts';
import { BODY_BYTES, errorAnswer, refuseRaw, type Serving } from './http-errors.ts';
import type { Served } from './route.ts';
import { serveRoutes } from './serve-routes.ts';

/** Requests of one connection that wait for their answers: each may hold one in memory. */
const MOST_WAITING = 8;

/** Builds the server without listening. */
export function createApi(apis: readonly Served[], serving: Serving): FastifyInstance {
  const server = fastify({
    bodyLimit: BODY_BYTES,
    routerOptions: { maxParamLength: 300 },
    // Clients make one connection per request; a stuck one must not keep the daemon from ending.
    forceCloseConnections: true,
    requestTimeout: 0,
    // What is no HTTP never reaches the routes.
    clientErrorHandler: (error, socket) =>
      refuseRaw(socket, new PolykernelError('invalid', `this is no HTTP request: ${error.code}`), serving),
    frameworkErrors: (error: unknown, _request: unknown, reply: FastifyReply) => {
      const { status, body } = errorAnswer(error, serving);
      void reply.code(status).header('content-type', 'application/json').send(JSON.stringify(body));
    },
    // The contracts are checked by our own; else a general validator would be loaded.
    schemaController: {
      compilersFactory: { buildValidator: () => () => () => true, buildSerializer: () => () => JSON.stringify },
    } as object,
  });
  server.setErrorHandler((error, _request, reply) => {
    const { status, body } = errorAnswer(error, serving);
    void reply.code(status).header('content-type', 'application/json').send(JSON.stringify(body));
  });
  server.setNotFoundHandler((request) => {
    throw new PolykernelError('not-found', `there is no ${request.method} ${request.url.slice(0, 200)}`, {
      hint: 'GET /openapi.json lists what there is.',
    });
  });
  server.addHook('onRequest', boundWaiting());
  for (const api of apis) void server.register(async (scope) => serveRoutes(scope, api, serving));
  return server;
}

/** Ends connections on which requests come faster than their answers are taken. */
function boundWaiting(): onRequestHookHandler {
  const waiting = new WeakMap<Socket, number>();
  return ({ raw: { socket } }, reply, next) => {
    const count = (waiting.get(socket) ?? 0) + 1;
    waiting.set(socket, count);
    reply.raw.once('close', () => waiting.set(socket, waiting.get(socket)! - 1));
    if (count <= MOST_WAITING) return next();
    // Those that were read with it are still to come, and get no further either.
    reply.hijack();
    socket.destroy();
  };
}
