import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { channelStatus } from '../support/channels.ts';
import { serviceStatus } from '../support/services.ts';
import { instanceStats, metricsText } from '../support/stats.ts';

it('the dashboard asks only for metrics that there are', () => {
  const { panels } = JSON.parse(readFileSync(new URL('../../grafana/polykernel.json', import.meta.url), 'utf8')) as {
    panels: { targets?: { expr: string }[]; id: number }[];
  };
  const disk = { readBytes: 1, writtenBytes: 1, reads: 1, writes: 1 };
  const rates = { readBytesPerSecond: 0, writtenBytesPerSecond: 0, readsPerSecond: 0, writesPerSecond: 0 };
  const stats = instanceStats();
  const self = { cpuSeconds: 0, residentBytes: 0, startedSeconds: 0, samplingSeconds: 0, samples: 0, historyBytes: 0 };
  const text = metricsText(
    [{ ...stats, guest: { ...stats.guest!, disk: { ...disk, ...rates } } }],
    [channelStatus()],
    [serviceStatus()],
    self,
    0,
  );
  const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
  const asked = panels.flatMap(({ targets = [] }) =>
    targets.flatMap(({ expr }) => expr.match(/\b(?:polykernel|process)_\w+/g) ?? []),
  );
  expect(asked.length).toBeGreaterThan(15);
  expect(asked.filter((name) => !known.has(name))).toEqual([]);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
});
