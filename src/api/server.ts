/** The HTTP side of the API on fastify: routes, checks of input, errors as bodies. No answer ever holds a stack. */
import type { Socket } from 'node:net';
import { type FastifyInstance, type FastifyReply, fastify, type onRequestHookHandler } from 'fastify';
import { type Schema, validate } from '../core/validate.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { ApiContext } from './context.ts';
import { BODY_BYTES, errorAnswer, refuseRaw } from './errors.ts';
import { registerChannels } from './routes/channels.ts';
import { registerFiles } from './routes/files.ts';
import { registerImages } from './routes/images.ts';
import { registerInstances } from './routes/instances.ts';
import { registerLogs } from './routes/logs.ts';
import { registerMachine } from './routes/machine.ts';
import { registerServices } from './routes/services.ts';
import { registerStats } from './routes/stats.ts';
import { registerSystem } from './routes/system.ts';

/** Requests of one connection that wait for their answers: each may hold one in memory. */
const MOST_WAITING = 8;

/** Builds the server without listening. `prepare` runs before the routes are registered. */
export function createApi(context: ApiContext, prepare: (server: FastifyInstance) => void = () => {}): FastifyInstance {
  const server = fastify({
    bodyLimit: BODY_BYTES,
    routerOptions: { maxParamLength: 300 },
    // Clients make one connection per request; a stuck one must not keep the daemon from ending.
    forceCloseConnections: true,
    requestTimeout: 0,
    // What is no HTTP never reaches the routes.
    clientErrorHandler: (error, socket) =>
      refuseRaw(socket, new PolykernelError('invalid', `this is no HTTP request: ${error.code}`), context),
    frameworkErrors: (error: unknown, _request: unknown, reply: FastifyReply) => {
      const { status, body } = errorAnswer(error, context);
      void reply.code(status).header('content-type', 'application/json').send(JSON.stringify(body));
    },
    schemaController: {
      compilersFactory: { buildValidator: () => validator, buildSerializer: () => () => JSON.stringify },
    } as object,
  });
  server.setErrorHandler((error, _request, reply) => {
    const { status, body } = errorAnswer(error, context);
    void reply.code(status).header('content-type', 'application/json').send(JSON.stringify(body));
  });
  server.setNotFoundHandler((request) => {
    throw new PolykernelError('not-found', `there is no ${request.method} ${request.url.slice(0, 200)}`, {
      hint: 'GET /openapi.json lists what there is.',
    });
  });
  server.addHook('onRequest', boundWaiting());
  prepare(server);
  void server.register(async (scope) => registerMachine(scope, context));
  void server.register(async (scope) => registerSystem(scope, context));
  void server.register(async (scope) => registerInstances(scope, context));
  void server.register(async (scope) => registerChannels(scope, context));
  void server.register(async (scope) => registerStats(scope, context));
  void server.register(async (scope) => registerServices(scope, context));
  void server.register(async (scope) => registerLogs(scope, context));
  void server.register(async (scope) => registerFiles(scope, context));
  void server.register(async (scope) => registerImages(scope, context));
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

/** Checks body and query by our own validator, which names field, value, reason and remedy. */
function validator({ schema, httpPart }: { schema: unknown; httpPart?: string }) {
  const query = httpPart === 'querystring';
  return (data: unknown) => {
    try {
      if (httpPart !== 'body' && !query) return { value: data };
      const given = data === undefined || data === null ? {} : data;
      return {
        value: validate(schema as Schema, given, { coerce: query, name: query ? 'the query' : 'the request body' }),
      };
    } catch (error) {
      return { error: error as Error };
    }
  };
}
