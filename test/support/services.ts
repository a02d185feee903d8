/** Services for tests: one to vary. */
import type { ServiceStatus } from '../../src/service/contract.ts';

const TOTALS = { requests: 10, errors: 1, connectErrors: 2, retries: 3 };
const LATENCY = { samples: 10, p50: 1, p90: 5, p99: 20, p999: 30, max: 40 };

export function serviceStatus(change: Partial<ServiceStatus> = {}): ServiceStatus {
  return {
    id: 'b'.repeat(32),
    name: 'api',
    stack: null,
    bind: '127.0.0.1',
    port: 8080,
    mode: 'http',
    balance: 'random2',
    check: null,
    slo: { latency: { percentile: 99, milliseconds: 20 }, availability: null },
    createdAt: '2026-11-24T00:00:00.000Z',
    ...TOTALS,
    state: 'ok',
    fault: null,
    targets: [
      {
        ...{
          instance: 'web',
          port: 80,
          weight: 100,
          weightNow: 100,
          drain: false,
          address: '10.213.0.2',
          state: 'up',
          reason: null,
          ...{ isItself: true, standIn: null },
        },
        ...{ ...TOTALS, inFlight: 4, requestsPerSecond: 5, latency: LATENCY },
      },
    ],
    inFlight: 4,
    requestsPerSecond: 5,
    latency: LATENCY,
    objectives: [
      {
        kind: 'latency',
        text: 'p99 ≤ 20 ms',
        target: 0.99,
        state: 'met',
        since: '2026-11-24T00:00:00.000Z',
        attainment: 0.995,
        budget: { allowed: 10, spent: 5, left: 0.5 },
        burn: [
          { window: '5m', requests: 100, bad: 0, burnRate: 0 },
          { window: '1h', requests: 1000, bad: 5, burnRate: 0.5 },
        ],
      },
    ],
    proxy: { pid: 1, restarts: 0, lostConnections: 0 },
    ...change,
  };
}
