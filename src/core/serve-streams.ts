/** WebSocket streams beside the routes: which there are is told by who serves them. */
import type { IncomingMessage, Server } from 'node:http';
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import type { WebSocket, WebSocketServer } from 'ws';
import { refuseRaw, type Serving } from './http-errors.ts';
import { MESSAGE_BYTES } from './stream-frames.ts';

/** What serves the stream at a URL's path and query. Throws `not-found` where there is none, `invalid`. */
export type FindStream = (url: string) => (socket: WebSocket) => void;

/** Serves streams on `server`. Returns what ends all of them. */
export function serveStreams(server: Server, find: FindStream, serving: Pick<Serving, 'complain'>): () => void {
  let sockets: WebSocketServer | undefined;
  server.on('upgrade', (request: IncomingMessage, connection: Duplex, head: Buffer) => {
    connection.on('error', () => {});
    let serve: (socket: WebSocket) => void;
    try {
      serve = find(request.url ?? '');
    } catch (error) {
      return refuseRaw(connection, error, serving);
    }
    sockets ??= streamSockets();
    sockets.handleUpgrade(request, connection, head, (socket) => {
      socket.on('error', () => {});
      serve(socket);
    });
  });
  return () => {
    for (const socket of sockets?.clients ?? []) socket.terminate();
    sockets?.close();
  };
}

/** `ws` is loaded with the first stream: it brings TLS and zlib along, which a daemon at rest has no use for. */
function streamSockets(): WebSocketServer {
  const ws: typeof import('ws') = createRequire(import.meta.url)('ws');
  return new ws.WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES + 1,
    skipUTF8Validation: true,
  });
}
