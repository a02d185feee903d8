/** As many connections as HAProxy is to hold at one time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { readOpenFiles } from '../../src/sys/open-files.ts';
import { eventually } from '../support/harness.ts';
import { freePort } from '../support/http.ts';
import { startServices } from '../support/service-harness.ts';

const CONNECTIONS = 10_000;
/** Each may have half of them. */
const ADDRESSES = ['127.0.0.1', '127.0.0.2'];
/** Fewer than the backlog of a listening socket. */
const AT_ONCE = 200;

const REQUEST = 'GET / HTTP/1.1\r\nHost: many\r\n\r\n';

/** In a process of its own, which has the same share of the work as in life. */
const BACKEND = `
  const server = require('node:http').createServer((_request, response) => response.end('served'));
  server.listen(0, '127.0.1.1', 1024, () => console.log(server.address().port));
  process.stdin.on('end', () => process.exit()).resume();
`;

async function startBackend(): Promise<number> {
  const child = spawn(process.execPath, ['-e', BACKEND], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [port] = await once(createInterface(child.stdout), 'line');
  return Number(port);
}

async function answered(socket: Socket): Promise<void> {
  socket.write(REQUEST);
  let heard = '';
  while (!heard.endsWith('served')) heard += String((await once(socket, 'data'))[0]);
}

/** A connection takes two descriptors of HAProxy, which only root can have more of than the hard limit says. */
const LEAST_FILES = 2 * CONNECTIONS + 100;
const canHold = process.getuid?.() === 0 || readOpenFiles(readFileSync('/proc/self/limits', 'utf8')).hard > LEAST_FILES;

test(`holds ${CONNECTIONS} connections`, async ({ skip }) => {
  skip(
    !canHold,
    `a process may have too few open files here (ulimit -Hn): more than ${LEAST_FILES}, or root, are needed`,
  );
  const daemon = await startServices();
  daemon.endpoints.set('web', '127.0.1.1');
  const [backendPort, port] = await Promise.all([startBackend(), freePort()]);
  const targets = [{ instance: 'web', port: backendPort }];
  await daemon.client.createService({ name: 'many', port, targets });
  await eventually(async () => (await daemon.client.service('many')).state === 'ok');
  const sockets: Socket[] = [];
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  while (sockets.length < CONNECTIONS) {
    const batch = Array.from({ length: AT_ONCE }, (_, at) =>
      connect({ port, host: '127.0.0.1', localAddress: ADDRESSES[at % ADDRESSES.length] }),
    );
    sockets.push(...batch);
    await Promise.all(batch.map((socket) => answered(socket)));
  }
  const status = await daemon.client.service('many');
  expect(status).toMatchObject({ requests: CONNECTIONS, errors: 0, connectErrors: 0, retries: 0 });
  await Promise.all(sockets.filter((_, at) => at % 10 === 0).map((socket) => answered(socket)));
  const late = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.3' });
  sockets.push(late);
  let heard = false;
  late.on('data', () => {
    heard = true;
  });
  late.write(REQUEST);
  await daemon.client.service('many');
  expect(heard).toBe(false);
  sockets[0]!.destroy();
  await eventually(() => heard);
}, 30_000);
