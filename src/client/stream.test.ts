import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { attach } from './stream.ts';

test('messages of a daemon that are no notice are passed over', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-stream-'));
  const server = createServer().listen(join(directory, 'socket'));
  const sockets = new WebSocketServer({ server });
  const exit = { reason: 'exited', exitCode: 3, message: 'x' };
  sockets.on('connection', (socket) => {
    for (const text of ['null', '5', '"x"', '[]', '{', JSON.stringify({ exited: exit })]) socket.send(text);
  });
  try {
    await once(server, 'listening');
    const process = await attach(join(directory, 'socket'), 'web');
    expect(await process.exited).toEqual(exit);
    process.close();
  } finally {
    sockets.close();
    server.close();
    rmSync(directory, { recursive: true });
  }
});
