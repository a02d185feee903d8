import { expect, it } from 'vitest';
import { metricsAddress, samplesPerSecond, serveMetrics } from './telemetry-options.ts';

it('samples per second', () => {
  expect(samplesPerSecond({})).toBe(2);
  expect(samplesPerSecond({ POLYKERNEL_SAMPLES_PER_SECOND: '10' })).toBe(10);
  for (const text of ['0', '11', '1.5', 'x', '-1']) {
    expect(() => samplesPerSecond({ POLYKERNEL_SAMPLES_PER_SECOND: text })).toThrow(
      expect.objectContaining({ code: 'invalid', field: 'POLYKERNEL_SAMPLES_PER_SECOND', value: text }),
    );
  }
});

it('the address for Prometheus', () => {
  expect(metricsAddress({})).toBeUndefined();
  expect(metricsAddress({ POLYKERNEL_METRICS_LISTEN: '127.0.0.1:9464' })).toEqual({ host: '127.0.0.1', port: 9464 });
  expect(metricsAddress({ POLYKERNEL_METRICS_LISTEN: '[::1]:0' })).toEqual({ host: '::1', port: 0 });
  for (const text of ['9464', 'localhost', 'a:70000', 'a b:1', ':1'])
    expect(() => metricsAddress({ POLYKERNEL_METRICS_LISTEN: text })).toThrow(
      expect.objectContaining({ code: 'invalid', field: 'POLYKERNEL_METRICS_LISTEN', value: text }),
    );
});

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
