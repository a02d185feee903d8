import { expect, it } from 'vitest';
import { channelStatus } from '../../test/support/channels.ts';
import { serviceStatus } from '../../test/support/services.ts';
import { instanceStats, metricsText } from '../../test/support/stats.ts';
import { labelsText } from '../core/metric.ts';

const self = { cpuSeconds: 1, residentBytes: 2, startedSeconds: 3, samplingSeconds: 4, samples: 5, historyBytes: 6 };
const nowMs = Date.parse('2026-11-23T10:00:02Z');
const text = (...instances: Parameters<typeof metricsText>[0][number][]) =>
  metricsText(instances, [channelStatus()], [], self, nowMs);

it('labels are escaped', () => {
  expect(labelsText({ a: 'x"y\\z\n', b: 1 })).toBe('{a="x\\"y\\\\z\\n",b="1"}');
  expect(labelsText({})).toBe('');
});

it('every family has its help and type once, before its samples, and nothing else is there', () => {
  const lines = text(instanceStats(), instanceStats({ name: 'db' })).split('\n');
  expect(lines.pop()).toBe('');
  const seen = new Set<string>();
  let family = '';
  for (const [at, line] of lines.entries()) {
    const help = /^# HELP ([a-z_]+) \S/.exec(line)?.[1];
    if (help !== undefined) {
      expect(seen).not.toContain(help);
      seen.add(help);
      family = help;
      expect(lines[at + 1]).toMatch(new RegExp(`^# TYPE ${family} (counter|gauge)$`));
      if (lines[at + 1]!.endsWith('counter')) expect(family).toMatch(/_total$/);
      else expect(family).not.toMatch(/_total$/);
    } else if (!line.startsWith('# TYPE')) {
      expect(line).toMatch(
        new RegExp(`^${family}(\\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\\})? -?\\d+(\\.\\d+)?(e[+-]?\\d+)?$`),
      );
    }
  }
  expect(new Set(lines).size).toBe(lines.length);
});

it('names and base units are the conventional ones', () => {
  const all = text(instanceStats());
  for (const line of [
    'polykernel_instance_up{instance="web"} 1',
    'polykernel_instance_cpu_seconds_total{instance="web",state="system"} 2',
    'polykernel_instance_memory_bytes{instance="web",type="available"} 134217728',
    'polykernel_instance_host_cpu_seconds_total{instance="web",vcpu="1"} 5',
    'polykernel_instance_host_run_delay_seconds_total{instance="web",vcpu="0"} 1',
    'polykernel_instance_cpu_pressure_ratio{instance="web",source="run-queue"} 0.5',
    'polykernel_instance_ready_seconds{instance="web"} 0.25',
    'polykernel_instance_restarts_total{instance="web"} 1',
    'polykernel_instance_sample_age_seconds{instance="web"} 2',
    'polykernel_channel_depth_bytes{channel="orders"} 0',
    'polykernel_channel_messages_total{channel="orders",side="recv",owner="web"} 0',
    'process_cpu_seconds_total 1',
  ])
    expect(all.split('\n')).toContain(line);
  expect(all).not.toContain('polykernel_instance_disk');
  expect(all).not.toContain('NaN');
});

it('an instance without a kernel has only what is known', () => {
  const all = text(instanceStats({ state: 'exited', guest: null, host: null, readyMs: null }));
  expect(all).toContain('polykernel_instance_up{instance="web"} 0\n');
  expect(all).not.toMatch(/cpu_seconds_total\{instance/);
});

it('tells of services and their promises', () => {
  const all = metricsText([], [], [serviceStatus()], self, 0);
  for (const line of [
    'polykernel_service_target_up{service="api",instance="web"} 1',
    'polykernel_service_requests_total{service="api",instance="web"} 10',
    'polykernel_service_errors_total{service="api",instance="web"} 1',
    'polykernel_service_requests_in_flight{service="api",instance="web"} 4',
    'polykernel_service_latency_seconds{service="api",instance="web",quantile="0.99"} 0.02',
    'polykernel_slo_attainment_ratio{service="api",objective="latency"} 0.995',
    'polykernel_slo_error_budget_left_ratio{service="api",objective="latency"} 0.5',
    'polykernel_slo_burn_rate{service="api",objective="latency",window="1h"} 0.5',
  ])
    expect(all.split('\n')).toContain(line);
});
