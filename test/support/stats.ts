/** Measurements for tests: one instance to vary, and what Prometheus is told. */

import type { BalanceStatus } from '../../src/balance/contract.ts';
import { balanceMetrics } from '../../src/balance/metrics.ts';
import type { ChannelStatus } from '../../src/channel/contract.ts';
import { channelMetrics } from '../../src/channel/metrics.ts';
import { familiesOf, metricsText as textOf } from '../../src/core/metric.ts';
import type { ServiceStatus } from '../../src/service/contract.ts';
import { serviceMetrics } from '../../src/service/metrics.ts';
import type { InstanceStats } from '../../src/telemetry/contract.ts';
import { daemonMetrics, instanceMetrics, type SelfMetrics } from '../../src/telemetry/metrics.ts';

const balanceStatus: BalanceStatus = {
  ...{ mode: 'on', policy: 'slo', suspended: null, holds: [], moves: { kept: 1, undone: 0, failed: 0 } },
  kernels: [
    {
      ...{ name: 'web', kind: 'service', cpus: 2, min: 1, max: 4, priority: 0, promiseMs: 100, known: true },
      ...{ busy: 1, waiting: 0, p99Ms: 20 },
    },
  ],
  reasons: [{ resource: 'cpu', rule: 'need', count: 1 }],
};

export const metricsText = (
  instances: readonly InstanceStats[],
  channels: readonly ChannelStatus[],
  services: readonly ServiceStatus[],
  self: SelfMetrics,
  nowMs: number,
): string =>
  textOf([
    ...familiesOf(
      instanceMetrics,
      instances.map((stats) => ({ ...stats, nowMs })),
    ),
    ...familiesOf(channelMetrics, channels),
    ...familiesOf(serviceMetrics, services),
    ...familiesOf(balanceMetrics, [balanceStatus]),
    ...familiesOf(daemonMetrics, [self]),
  ]);

export function instanceStats(change: Partial<InstanceStats> = {}): InstanceStats {
  return {
    name: 'web',
    id: 'a'.repeat(32),
    state: 'running',
    driver: 'uml',
    vcpus: 2,
    memoryBytes: 256 * 2 ** 20,
    at: '2026-11-23T10:00:00.000Z',
    restarts: 1,
    readyMs: 250,
    guest: {
      at: '2026-11-23T10:00:00.000Z',
      cpus: 2,
      cpuSeconds: { user: 1, system: 2, idle: 3, iowait: 4, irq: 5, steal: 6 },
      cpu: { user: 0.5, system: 0.25, idle: 1, iowait: 0, irq: 0.25, steal: 0 },
      busy: 1,
      runQueue: 3,
      blocked: 0,
      pressure: { source: 'run-queue', cpu: 0.5, memory: null, io: null, seconds: null },
      memory: { totalBytes: 2 ** 28, availableBytes: 2 ** 27, usedBytes: 2 ** 27, cachedBytes: 2 ** 20 },
      faults: { minor: 10, major: 1, minorPerSecond: 5, majorPerSecond: 0.5 },
      disk: null,
      network: {
        receivedBytes: 100,
        sentBytes: 200,
        receivedPackets: 1,
        sentPackets: 2,
        faults: 0,
        receivedBytesPerSecond: 1024,
        sentBytesPerSecond: 1024,
        receivedPacketsPerSecond: 1,
        sentPacketsPerSecond: 1,
        faultsPerSecond: 0,
      },
    },
    host: {
      at: '2026-11-23T10:00:00.000Z',
      cpu: 1.5,
      delay: 0.1,
      overGuest: 0.5,
      others: 0.02,
      othersSeconds: 3,
      vcpus: [
        { ranSeconds: 10, delaySeconds: 1, cpu: 1, delay: 0.1 },
        { ranSeconds: 5, delaySeconds: 0, cpu: 0.5, delay: 0 },
      ],
      residentBytes: 2 ** 26,
    },
    channels: [
      { name: 'orders', side: 'recv', depthBytes: 512, sizeBytes: 4096, messages: 1, bytes: 2, stalls: 3, drops: 0 },
    ],
    requests: null,
    ...change,
  };
}
