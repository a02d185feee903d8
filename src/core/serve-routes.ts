/** Puts the routes of a contract on fastify: checks what came, calls the handler, and answers as the kind of route says. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { PolykernelError } from '../sys/errors.ts';
import { errorAnswer, type Serving } from './http-errors.ts';
import type { ProgressLine } from './progress.ts';
import type { Call, EventsAnswer, Kind, Route, Served } from './route.ts';
import { validate } from './validate.ts';

const KEEP_ALIVE_MS = 30_000;
/** Above so much unsent a client of events does not read. */
const MOST_UNREAD_BYTES = 4 * 1024 * 1024;

type Handle = (call: Call) => unknown;
type Answering = (reply: FastifyReply, route: Route, handle: Handle, call: Call, serving: Serving) => unknown;

/** What it registers is `scope`'s alone. */
export function serveRoutes(scope: FastifyInstance, { api, handlers }: Served, serving: Serving): void {
  for (const [name, route] of Object.entries(api.routes)) {
    const handle: Handle = async (call) => {
      const answer = await handlers[name]!(call);
      if (route.method !== 'GET') await serving.settled();
      return answer;
    };
    const add = (server: FastifyInstance) =>
      server.route({
        method: route.method,
        url: route.path,
        handler: async (request, reply) =>
          ANSWERS[route.kind](reply, route, handle, callOf(route, request, reply, serving), serving),
      });
    if (route.kind === 'upload') void scope.register(async (inner) => void add(takingBytes(inner)));
    else add(scope);
  }
}

const ANSWERS: Record<Kind, Answering> = {
  async json(reply, route, handle, call) {
    const answer = await handle(call);
    if (route.answer === undefined) return reply.code(204).send();
    return reply.code(route.status ?? 200).send(route.list === undefined ? answer : { [route.list]: answer });
  },

  async upload(reply, _route, handle, call) {
    await handle(call);
    return reply.code(204).send();
  },

  async download(reply, route, handle, call) {
    return reply.type(route.produces!).send(await handle(call));
  },

  async lines(reply, _route, handle, call) {
    const records = (await handle(call)) as AsyncIterable<unknown>;
    const text = Readable.from(
      (async function* () {
        // So that the client learns that it is connected before there is anything.
        yield '\n';
        for await (const record of records) yield `${JSON.stringify(record)}\n`;
      })(),
      { highWaterMark: 16 },
    );
    return reply.type('application/x-ndjson').send(text);
  },

  async long(reply, _route, handle, call, serving) {
    const { raw } = takeOver(reply, 'application/x-ndjson');
    const send = (line: ProgressLine<unknown>) => raw.write(`${JSON.stringify(line)}\n`);
    try {
      send({ done: await handle({ ...call, signal: call.signal, progress: (text) => send({ progress: text }) }) });
    } catch (error) {
      send(errorAnswer(error, serving).body);
    }
    raw.end();
  },

  async events(reply, _route, handle, call, serving) {
    const { log, since } = (await handle(call)) as EventsAnswer;
    const { raw } = takeOver(reply, 'text/event-stream', { 'cache-control': 'no-store' });
    // Something must go out for the client to see that it is connected.
    raw.write(': connected\n\n');
    const write = (event: { sequence: number }) =>
      raw.write(`id: ${event.sequence}\ndata: ${JSON.stringify(event)}\n\n`);
    // However long the texts are: these are as many as are kept.
    if (since !== undefined) for (const event of log.since(since)) write(event);
    const stopListening = log.listen((event) => {
      // A client that does not read is cut off rather than kept in memory.
      if (raw.writableLength > MOST_UNREAD_BYTES) raw.destroy();
      else write(event);
    });
    const timer = setInterval(() => raw.write(': alive\n\n'), KEEP_ALIVE_MS).unref();
    const finish = () => {
      stopListening();
      clearInterval(timer);
      serving.ending.removeEventListener('abort', finish);
      raw.end();
    };
    raw.on('close', finish).on('error', () => {});
    serving.ending.addEventListener('abort', finish, { once: true });
  },
};

/** The answer is written past fastify from here on. */
function takeOver(reply: FastifyReply, type: string, headers: Record<string, string> = {}): FastifyReply {
  reply.hijack();
  reply.raw.on('error', () => {});
  reply.raw.writeHead(200, { 'content-type': type, ...headers });
  return reply;
}

/** The content is a stream of any length; nothing here holds it. */
function takingBytes(server: FastifyInstance): FastifyInstance {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { bodyLimit: Number.MAX_SAFE_INTEGER }, (_request, payload, done) =>
    done(null, payload),
  );
  return server;
}

/** Throws `invalid` naming field, value, reason and remedy. */
function callOf(route: Route, request: FastifyRequest, reply: FastifyReply, serving: Serving): Call {
  const { query, body } = route;
  let signal: AbortSignal | undefined;
  return {
    params: request.params as Call['params'],
    body: body === undefined ? request.body : validate(body, request.body ?? {}, { name: 'the request body' }),
    query:
      query === undefined ? request.query : validate(query, request.query ?? {}, { coerce: true, name: 'the query' }),
    headers: request.headers,
    get signal() {
      signal ??= untilGone(reply, serving);
      return signal;
    },
    progress() {},
    afterwards: (action) => void reply.raw.once('close', action),
  };
}

/** A signal that is aborted when the client goes away or the daemon ends. */
function untilGone(reply: FastifyReply, { ending }: Serving): AbortSignal {
  const controller = new AbortController();
  const onEnding = () =>
    controller.abort(
      new PolykernelError('unavailable', 'the daemon is ending', { hint: 'Try again: it is started by itself.' }),
    );
  if (ending.aborted) onEnding();
  ending.addEventListener('abort', onEnding, { once: true });
  reply.raw.once('close', () => {
    ending.removeEventListener('abort', onEnding);
    if (!reply.raw.writableFinished) controller.abort(new PolykernelError('unavailable', 'the client went away'));
  });
  return controller.signal;
}
