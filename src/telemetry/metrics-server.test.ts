import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { expect, it } from 'vitest';
import { serveMetrics } from './metrics-server.ts';

it('serves metrics and nothing else', async () => {
  const server = await serveMetrics({ host: '127.0.0.1', port: 0 }, () => 'up 1\n');
  try {
    const get = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    const answer = await get('/metrics');
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await answer.text()).toBe('up 1\n');
    expect((await get('/v1/version')).status).toBe(404);
    expect((await get('/metrics', 'POST')).status).toBe(404);
    await expect(serveMetrics({ host: '127.0.0.1', port: server.port }, () => '')).rejects.toMatchObject({
      message: expect.stringContaining(`127.0.0.1:${server.port}`),
    });
  } finally {
    server.close();
  }
});

/** The status of GET /metrics with that host header. */
function statusFor(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: '/metrics', headers: { host }, agent: false };
    request(options, (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end();
  });
}

it('answers for its own names and for addresses alone', async () => {
  const server = await serveMetrics({ host: '127.0.0.1', port: 0, names: ['node1.example'] }, () => 'up 1\n');
  try {
    for (const host of [
      '127.0.0.1',
      '127.0.0.1:1',
      'localhost:80',
      '[::1]:80',
      hostname(),
      'NODE1.example',
      'localhost.',
    ])
      expect([host, await statusFor(server.port, host)]).toEqual([host, 200]);
    for (const host of ['attacker.example', 'attacker.example:80', '127.0.0.1.attacker.example', '[x]', 'a:b:c'])
      expect([host, await statusFor(server.port, host)]).toEqual([host, 421]);
  } finally {
    server.close();
  }
});

it('is held by no client that says nothing, or not enough', async () => {
  const server = await serveMetrics({ host: '127.0.0.1', port: 0 }, () => 'up 1\n', { connections: 2 });
  const idle = [];
  try {
    for (const words of ['', 'GET /metrics HTTP/1.1\r\nhost: x', '']) {
      const socket = connect(server.port, '127.0.0.1').on('error', () => {});
      idle.push(socket);
      await once(socket, 'connect');
      socket.write(words);
    }
    const oldest = once(idle[0]!.resume(), 'close');
    expect(await statusFor(server.port, 'localhost')).toBe(200);
    await oldest;
  } finally {
    server.close();
    for (const socket of idle) socket.destroy();
  }
});

it('answers one request of a connection, however many come with it', async () => {
  let written = 0;
  const text = () => `up ${++written}\n`;
  const server = await serveMetrics({ host: '127.0.0.1', port: 0 }, text);
  try {
    const socket = connect(server.port, '127.0.0.1').on('error', () => {});
    let heard = '';
    socket.setEncoding('latin1').on('data', (more: string) => {
      heard += more;
    });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(1000));
    await closed;
    expect(written).toBe(1);
    expect(heard.split('HTTP/1.1 ').length - 1).toBeLessThanOrEqual(1);
  } finally {
    server.close();
  }
});

it('ends a connection after its time, whatever comes on it', async () => {
  const server = await serveMetrics({ host: '127.0.0.1', port: 0 }, () => 'up 1\n', { lifetimeMs: 50 });
  try {
    const socket = connect(server.port, '127.0.0.1').on('error', () => {});
    await once(socket.resume(), 'close');
  } finally {
    server.close();
  }
});
