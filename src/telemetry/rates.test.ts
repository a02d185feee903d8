import { describe, expect, it } from 'vitest';
import { guestRates, hostRates, rate, secondsBetween } from './rates.ts';
import type { GuestCounters, HostCounters } from './types.ts';

const guest = (change: Partial<GuestCounters> = {}): GuestCounters => ({
  atMs: 0,
  guestMs: 0,
  cpus: 2,
  cpuSeconds: { user: 0, system: 0, idle: 0, iowait: 0, irq: 0, steal: 0 },
  runnable: 0,
  blocked: 0,
  memory: null,
  faults: { minor: 0, major: 0, refaults: 0 },
  oomKills: 0,
  disk: null,
  network: null,
  pressure: null,
  ...change,
});

describe('a rate', () => {
  it('is what was counted, per second', () => {
    expect(rate(10, 30, 2)).toBe(10);
  });
  it('is not known when the counter began anew, or no time passed', () => {
    expect(rate(30, 10, 2)).toBeNull();
    expect(rate(10, 30, 0)).toBeNull();
    expect(rate(10, 30, -1)).toBeNull();
  });
});

describe('the time between two readings', () => {
  it('is that of the guest, which read them', () => {
    expect(secondsBetween({ atMs: 0, guestMs: 5000 }, { atMs: 1100, guestMs: 6000 })).toBe(1);
  });
  it('is ours when the guest claims something else', () => {
    for (const guestMs of [5000, 4000, 5001, 9e15, Number.NaN])
      expect(secondsBetween({ atMs: 0, guestMs: 5000 }, { atMs: 1000, guestMs })).toBe(1);
  });
});

describe('of a guest', () => {
  const later = (change: Partial<GuestCounters>) => guest({ atMs: 1000, guestMs: 1000, ...change });

  it('CPU time is in CPUs', () => {
    const cpuSeconds = { user: 1, system: 0.5, idle: 0.25, iowait: 0, irq: 0.125, steal: 0.125 };
    expect(guestRates(guest(), later({ cpuSeconds })).cpu).toEqual(cpuSeconds);
  });
  it('cannot be more than its CPUs', () => {
    const cpuSeconds = { user: 1e9, system: 0, idle: 0, iowait: 0, irq: 0, steal: 0 };
    expect(guestRates(guest(), later({ cpuSeconds })).cpu?.user).toBe(2);
  });
  it('is null after a reset, but idle time may go back as Linux lets it', () => {
    const before = guest({ cpuSeconds: { user: 5, system: 5, idle: 5, iowait: 5, irq: 0, steal: 0 } });
    expect(guestRates(before, later({})).cpu).toBeNull();
    const cpuSeconds = { user: 5.5, system: 5, idle: 5.5, iowait: 4, irq: 0, steal: 0 };
    expect(guestRates(before, later({ cpuSeconds })).cpu).toMatchObject({ user: 0.5, idle: 0.5, iowait: 0 });
  });
  it('pressure is a share of the time', () => {
    const stall = (some: number) => ({ cpu: { some, full: 0 }, memory: null, io: { some: 0, full: 0 } });
    const rates = guestRates(guest({ pressure: stall(1) }), later({ pressure: stall(1.25) }));
    expect(rates.pressure).toEqual({ cpu: { some: 0.25, full: 0 }, memory: null, io: { some: 0, full: 0 } });
    expect(guestRates(guest({ pressure: stall(0) }), later({ pressure: stall(99) })).pressure?.cpu?.some).toBe(1);
  });
});

describe('of the host', () => {
  const host = (atMs: number, ...vcpus: [number, number][]): HostCounters => ({
    atMs,
    vcpus: vcpus.map(([ranSeconds, delaySeconds]) => ({ ranSeconds, delaySeconds })),
    othersSeconds: 0,
    residentBytes: null,
  });
  it('vCPUs are summed', () => {
    expect(hostRates(host(0, [0, 0], [1, 1]), host(2000, [1, 0.5], [2, 1]))).toEqual({
      vcpus: [
        { cpu: 0.5, delay: 0.25 },
        { cpu: 0.5, delay: 0 },
      ],
      cpu: 1,
      delay: 0.25,
      others: 0,
    });
  });
  it('a vCPU that is new has none yet, and without time there is nothing', () => {
    expect(hostRates(host(0), host(1000, [5, 5]))).toMatchObject({ cpu: 0, delay: 0 });
    expect(hostRates(host(0), host(0))).toBeNull();
  });
});
