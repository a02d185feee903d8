/** The typed client: one method per route of docs/api.md. Every method rejects with PolykernelError. */
import type { Readable } from 'node:stream';
import type { ExecRequest } from '../instance/contract.ts';
import { type Calls, call } from './calls.ts';
import { json, send } from './http.ts';
import { ROUTES } from './routes.ts';
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

export type Client = ByHand & Calls;
export const Client = ByHand as new (socketPath: string) => Client;
