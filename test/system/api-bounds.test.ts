/** What one client can have the daemon hold: a connection that asks and does not read. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { apiOf } from '../support/api.ts';

const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: daemon\r\n\r\n`;

let directory: string;
let asked: number;
let server: ReturnType<typeof apiOf>;
let socket: Socket;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pk-unit-'));
  asked = 0;
  const version = () => {
    asked += 1;
    return new Promise(() => {});
  };
  server = apiOf({ version });
  await server.listen({ path: join(directory, 'socket') });
  socket = connect(join(directory, 'socket'));
  await once(socket, 'connect');
});
afterEach(async () => {
  socket.destroy();
  await server.close();
  rmSync(directory, { recursive: true });
});

it('are so many requests whose answers it has not taken, and no more', async () => {
  socket.on('error', () => {});
  const ended = once(socket, 'close');
  socket.resume().write(request('/v1/version').repeat(1000));
  await ended;
  expect(asked).toBeLessThanOrEqual(8);
});

it('answers one after the other, however many', async () => {
  for (let count = 0; count < 20; count++) {
    socket.write(request('/nothing'));
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1.1 404 /);
  }
});
