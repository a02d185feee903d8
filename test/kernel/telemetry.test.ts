/** The numbers of `pk stats` against their sources: the guest's own /proc and the host's schedstat, on User Mode Linux. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceStats, StatsSeries } from '../../src/telemetry/contract.ts';
import { parseFaults, parseMeminfo, parseStat } from '../../src/telemetry/proc.ts';
import { Sandbox, until } from '../support/pk.ts';

describe('telemetry', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await Sandbox.create();
    const run = (name: string, ...command: string[]) =>
      sandbox.ok('run', '-d', '--name', name, '--driver', 'uml', '--memory', '256M', '--', ...command);
    await run('quiet', 'sleep', '100000');
    await run('busy', 'sh', '-c', 'while :; do :; done');
  });
  afterAll(() => sandbox[Symbol.asyncDispose]());

  const stats = (name: string) => sandbox.json<InstanceStats>('stats', name);
  /** Measured, guest and host, after now. */
  const fresh = (name: string) => {
    const now = Date.now();
    return until(`new numbers of ${name}`, async () => {
      const now1 = await stats(name);
      const [guest, host] = [now1.guest, now1.host];
      if (guest === null || host === null || Date.parse(guest.at) < now || Date.parse(host.at) < now) return undefined;
      return { ...now1, guest, host };
    });
  };
  const inGuest = async (name: string, path: string) => Buffer.from(await sandbox.ok('exec', name, '--', 'cat', path));

  it.each(['quiet', 'busy'])('of the guest %s lie between what its /proc says before and after', async (name) => {
    const look = async () => ({
      ...parseStat(await inGuest(name, '/proc/stat')),
      memory: parseMeminfo(await inGuest(name, '/proc/meminfo')),
      faults: parseFaults(await inGuest(name, '/proc/vmstat')),
    });
    const before = await look();
    const { guest } = await fresh(name);
    const after = await look();
    expect(guest.cpus).toBe(before.cpus);
    for (const state of ['user', 'system', 'idle', 'iowait', 'irq', 'steal'] as const) {
      expect(guest.cpuSeconds?.[state]).toBeGreaterThanOrEqual(before.cpuSeconds![state]);
      expect(guest.cpuSeconds?.[state]).toBeLessThanOrEqual(after.cpuSeconds![state]);
    }
    expect(guest.memory?.totalBytes).toBe(before.memory?.totalBytes);
    expect(Math.abs(guest.memory!.availableBytes - after.memory!.availableBytes)).toBeLessThan(16 * 2 ** 20);
    expect(guest.faults?.minor).toBeGreaterThanOrEqual(before.faults!.minor);
    expect(guest.faults?.minor).toBeLessThanOrEqual(after.faults!.minor);
    // Debian's User Mode Linux has no PSI: the run queue stands in for it.
    expect(guest.pressure.source).toBe('run-queue');
    expect(await sandbox.pk(['exec', name, '--', 'ls', '/proc/pressure/cpu'])).not.toMatchObject({ code: 0 });
  });

  it.each(['quiet', 'busy'])("of the host for %s lie between the kernel's schedstat before and after", async (name) => {
    const { pid } = await sandbox.json<{ pid: number }>('inspect', name);
    const before = schedstatBelow(pid);
    const { host } = await fresh(name);
    const after = schedstatBelow(pid);
    const [vcpu] = host.vcpus;
    // The jail's own process runs a little as well, and what has ended is counted in ticks of 10 ms.
    expect(vcpu?.ranSeconds).toBeGreaterThanOrEqual(before.ran - 0.1);
    expect(vcpu?.ranSeconds).toBeLessThanOrEqual(after.ran + 0.1);
    expect(vcpu?.delaySeconds).toBeLessThanOrEqual(after.delay + 0.01);
    expect(host.residentBytes).toBeGreaterThan(2 ** 20);
    expect(host.residentBytes).toBeLessThan(2 ** 29);
  });

  it('tell a busy guest from a quiet one, inside and outside', async () => {
    const busy = await until('the busy one is busy', async () => {
      const { guest, host, ...rest } = await stats('busy');
      return guest !== null && host !== null && (guest.busy ?? 0) > 0.3 ? { ...rest, guest, host } : undefined;
    });
    const quiet = await fresh('quiet');
    expect(busy.guest.runQueue).toBeGreaterThanOrEqual(1);
    expect(busy.host.cpu + busy.host.delay).toBeGreaterThan(0.5);
    expect(quiet.guest.busy).toBeLessThan(0.1);
    expect(quiet.host.cpu).toBeLessThan(0.1);
    expect(quiet.restarts).toBe(0);
    expect(quiet.readyMs).toBeGreaterThan(0);
  });

  it('keep the time of processes that have ended', async () => {
    const before = await fresh('quiet');
    await sandbox.ok(
      'exec',
      'quiet',
      '--',
      'sh',
      '-c',
      'for n in 1 2 3; do sh -c "i=0; while [ \\$i -lt 100000 ]; do i=\\$((i+1)); done"; done',
    );
    const after = await fresh('quiet');
    const work = after.guest.cpuSeconds!.user - before.guest.cpuSeconds!.user;
    const ran = after.host.vcpus[0]!.ranSeconds - before.host.vcpus[0]!.ranSeconds;
    expect(work).toBeGreaterThan(0.05);
    // By the guest's ticks it ran all the while; the host, if it is busy, had less for it.
    expect(ran).toBeGreaterThan(0.02);
  });

  it('are there over time, as CSV, as a table and for Prometheus', async () => {
    const series = await until('some seconds are kept', async () => {
      const one = await sandbox.json<StatsSeries>('stats', 'busy', '--since', '1m', '--step', '500ms');
      return one.times.length >= 6 ? one : undefined;
    });
    expect(Math.max(...(series.values.hostCpu ?? []).map(Number))).toBeGreaterThan(0.1);
    expect((await sandbox.ok('stats', 'busy', '--since', '1m', '--csv')).split('\n')[0]).toMatch(/^time,cpuBusy,/);
    expect(await sandbox.ok('top')).toMatch(/^NAME +STATE +CPU +HOST[^\n]*\nbusy /);
  });

  it('cost under 1 % of a CPU per instance', async () => {
    const self = async () => {
      const { Client } = await import('../../src/client/index.ts');
      const text = await new Client(`${sandbox.home}/daemon.sock`).metrics();
      const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
      return {
        seconds: value('polykernel_telemetry_cpu_seconds_total'),
        samples: value('polykernel_telemetry_samples_total'),
      };
    };
    const before = await self();
    const after = await until('forty samples', async () => {
      const now = await self();
      return now.samples >= before.samples + 40 ? now : undefined;
    });
    // Twice a second.
    expect(((after.seconds - before.seconds) / (after.samples - before.samples)) * 2).toBeLessThan(0.01);
  });
});

/** Seconds that a process, all that it started and all their threads ran and waited, with children that have ended. */
function schedstatBelow(root: number): { ran: number; delay: number } {
  const read = (path: string) => {
    try {
      return readFileSync(path, 'latin1');
    } catch {
      return '';
    }
  };
  const fields = (pid: number) =>
    read(`/proc/${pid}/stat`)
      .replace(/^.*\) /s, '')
      .split(' ');
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  const below = new Set([root]);
  for (let size = 0; size !== below.size; ) {
    size = below.size;
    for (const pid of all) if (below.has(Number(fields(pid)[1]))) below.add(pid);
  }
  const total = { ran: 0, delay: 0 };
  for (const pid of below) {
    for (const tid of readdirSync(`/proc/${pid}/task`)) {
      const [ran = 0, delay = 0] = read(`/proc/${pid}/task/${tid}/schedstat`).split(' ').map(Number);
      total.ran += ran / 1e9;
      total.delay += delay / 1e9;
    }
    total.ran += (Number(fields(pid)[13]) + Number(fields(pid)[14])) / 100;
  }
  return total;
}
