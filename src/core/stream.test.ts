import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { Stream } from './stream.ts';
import { frame } from './stream-frames.ts';

/** A client, which reads nothing yet, and the server's end of its stream. */
async function connected(): Promise<
  { client: WebSocket; socket: WebSocket; stream: Stream<unknown> } & AsyncDisposable
> {
  const directory = mkdtempSync(join(tmpdir(), 'pk-stream-'));
  const server = createServer().listen(join(directory, 'socket'));
  const sockets = new WebSocketServer({ server });
  await once(server, 'listening');
  const client = new WebSocket(`ws+unix:${join(directory, 'socket')}:/`);
  const opened = once(client, 'open').then(() => client.pause());
  const [socket] = (await once(sockets, 'connection')) as [WebSocket];
  const stream = new Stream<unknown>(socket, (message) => message, { complain() {} });
  await opened;
  return {
    client,
    socket,
    stream,
    async [Symbol.asyncDispose]() {
      client.terminate();
      for (const each of sockets.clients) each.terminate();
      sockets.close();
      server.close();
      rmSync(directory, { recursive: true });
    },
  };
}

it.each(['nobody takes', 'is taken slowly'])('ends at once though the client still sends what %s', async (fate) => {
  await using both = await connected();
  const { client, socket, stream } = both;
  if (fate === 'is taken slowly') stream.onInput(new PassThrough({ highWaterMark: 1 }));
  stream.close();
  // The client has not seen that yet.
  const received = once(socket, 'message');
  client.send(frame(0, Buffer.from('typed')));
  await received;
  const closed = once(client, 'close');
  client.resume();
  expect(await closed).toMatchObject([1000, expect.anything()]);
});
