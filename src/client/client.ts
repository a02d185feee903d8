/** The typed client: one method per route of docs/api.md. Every method rejects with PolykernelError. */
import type { Readable } from 'node:stream';
import type { ProgressLine } from '../core/progress.ts';
import type { ExecRequest } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { Calls, Progress } from './calls.ts';
import { type Call, json, lines, send, serverSentEvents } from './http.ts';
import { type ClientRoute, ROUTES } from './routes.ts';
import type { RemoteConsole, RemoteProcess, StreamOptions } from './stream.ts';

/** What is no plain call: streams of bytes. */
class ByHand {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /** In the text format of Prometheus. */
  async metrics(): Promise<string> {
    const response = await send(this.socketPath, { path: '/metrics' });
    return (await response.setEncoding('utf8').toArray()).join('');
  }
  openapi(): Promise<unknown> {
    return json(this.socketPath, { path: '/openapi.json' });
  }

  /** Writes a file in the guest. `mode` in octal digits, such as "0644". */
  async putFile(
    name: string,
    path: string,
    content: Readable | Uint8Array,
    options: { mode?: string } = {},
  ): Promise<void> {
    await json(this.socketPath, { method: 'PUT', path: filesPath(name), query: { path, ...options }, raw: content });
  }
  /** The content of a file in the guest. An error after the first byte destroys the stream. */
  getFile(name: string, path: string, signal?: AbortSignal): Promise<Readable> {
    return send(this.socketPath, { path: filesPath(name), query: { path }, signal });
  }

  /** All memory of an instance's kernel: see the route. It breaks off with an error when it fails. */
  getMemory(name: string, signal?: AbortSignal): Promise<Readable> {
    return send(this.socketPath, { path: `/v1/instances/${encodeURIComponent(name)}/memory`, signal });
  }
  /** A file or a directory with all in it as a tar archive, in which it is called `as` (default `.`). It breaks off with an error when it fails. */
  getTree(name: string, path: string, options: { as?: string } = {}, signal?: AbortSignal): Promise<Readable> {
    return send(this.socketPath, { path: treePath(name), query: { path, ...options }, signal });
  }
  /** Unpacks a tar archive: see the route. */
  async putTree(
    name: string,
    path: string,
    content: Readable | Uint8Array,
    options: { as?: string; directory?: boolean; owners?: boolean } = {},
    signal?: AbortSignal,
  ): Promise<void> {
    const query = { path, ...options };
    await json(this.socketPath, { method: 'PUT', path: treePath(name), query, raw: content, signal });
  }

  /** The standard streams of the main workload; of a foreground instance this is what starts it. */
  attach(name: string, options?: StreamOptions): Promise<RemoteProcess> {
    return this.#stream((stream) => stream.attach(this.socketPath, name, options));
  }
  /** Another command in the instance's kernel. */
  exec(name: string, request: ExecRequest, options?: StreamOptions): Promise<RemoteProcess> {
    return this.#stream((stream) => stream.exec(this.socketPath, name, request, options));
  }
  console(name: string, options?: StreamOptions): Promise<RemoteConsole> {
    return this.#stream((stream) => stream.console(this.socketPath, name, options));
  }

  // `ws` is loaded only by commands that stream: it would cost every other one its start-up time.
  async #stream<T>(open: (module: typeof import('./stream.ts')) => Promise<T>): Promise<T> {
    return open(await import('./stream.ts'));
  }
}

for (const [name, route] of Object.entries(ROUTES)) {
  Object.defineProperty(ByHand.prototype, name, {
    value(this: ByHand, ...given: unknown[]) {
      return call(this.socketPath, route, given);
    },
  });
}

const filesPath = (name: string): string => `/v1/instances/${encodeURIComponent(name)}/files`;
const treePath = (name: string): string => `/v1/instances/${encodeURIComponent(name)}/archive`;

export type Client = ByHand & Calls;
export const Client = ByHand as new (socketPath: string) => Client;

/** Sends what a method was given. */
function call(socketPath: string, route: ClientRoute, given: readonly unknown[]): unknown {
  const rest = [...given];
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name!);
  const parameters = new Map(
    names.filter((name) => !route.inBody?.includes(name)).map((name) => [name, rest.shift() as string]),
  );
  const input = route.input === undefined ? undefined : (rest.shift() ?? {});
  const body = route.argument === undefined ? input : { [route.argument]: input };
  const progress = route.kind === 'long' ? (rest.shift() as Progress | undefined) : undefined;
  const sent: Call = {
    method: route.method,
    path: route.path.replaceAll(/:(\w+)/g, (_, name: string) =>
      encodeURIComponent(parameters.get(name) ?? String((body as Record<string, unknown>)[name])),
    ),
    ...(route.input === 'query' ? { query: input as Call['query'] } : { body }),
    signal: rest.shift() as AbortSignal | undefined,
  };
  switch (route.kind) {
    case 'json':
      return answer(socketPath, sent, route.list);
    case 'long':
      return done(socketPath, sent, progress);
    case 'lines':
      return each(lines, socketPath, sent);
    case 'events':
      return each(serverSentEvents, socketPath, sent);
  }
}

async function answer(socketPath: string, sent: Call, list: string | undefined): Promise<unknown> {
  const value = await json<Record<string, unknown>>(socketPath, sent);
  return list === undefined ? value : value[list];
}

async function* each(read: typeof lines, socketPath: string, sent: Call): AsyncGenerator<unknown> {
  yield* read(await send(socketPath, sent));
}

async function done(socketPath: string, sent: Call, progress: Progress = () => {}): Promise<unknown> {
  for await (const line of lines<ProgressLine<unknown>>(await send(socketPath, sent))) {
    if ('progress' in line) progress(line.progress);
    else if ('error' in line) throw PolykernelError.fromJSON(line.error);
    else return line.done;
  }
  throw new PolykernelError('unavailable', 'the daemon ended before the work was done', {
    hint: 'Run the command again.',
  });
}
