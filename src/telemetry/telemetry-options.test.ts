import { expect, it } from 'vitest';
import { metricsAddress, samplesPerSecond } from './telemetry-options.ts';

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
  expect(metricsAddress({ POLYKERNEL_METRICS_LISTEN: '127.0.0.1:9464' })).toEqual({
    host: '127.0.0.1',
    port: 9464,
    names: [],
  });
  expect(metricsAddress({ POLYKERNEL_METRICS_LISTEN: '[::1]:0' })).toEqual({ host: '::1', port: 0, names: [] });
  const named = { POLYKERNEL_METRICS_LISTEN: '0.0.0.0:1', POLYKERNEL_METRICS_NAMES: 'a.example,b' };
  expect(metricsAddress(named)).toMatchObject({ names: ['a.example', 'b'] });
  expect(() => metricsAddress({ ...named, POLYKERNEL_METRICS_NAMES: 'a b' })).toThrow(/no list of host names/);
  for (const text of ['9464', 'localhost', 'a:70000', 'a b:1', ':1'])
    expect(() => metricsAddress({ POLYKERNEL_METRICS_LISTEN: text })).toThrow(
      expect.objectContaining({ code: 'invalid', field: 'POLYKERNEL_METRICS_LISTEN', value: text }),
    );
});
