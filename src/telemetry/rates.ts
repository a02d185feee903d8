/** Rates out of two readings of counters. */
import {
  CPU_STATES,
  type CpuState,
  type GuestCounters,
  type GuestRates,
  type HostCounters,
  type HostRates,
  type PressureCounters,
  type Stall,
} from './types.ts';

/** Per second; null when no time passed or the counter went back: it began anew, and what it counted before is not known. */
export function rate(before: number, after: number, seconds: number): number | null {
  return seconds > 0 && after >= before ? (after - before) / seconds : null;
}

/** All rates of `keys`, or null when one cannot be told. */
function rates<Key extends string>(
  before: Record<Key, number> | null,
  after: Record<Key, number> | null,
  seconds: number,
  keys: readonly Key[],
): number[] | null {
  if (before === null || after === null) return null;
  const all = keys.map((key) => rate(before[key], after[key], seconds));
  return all.some((each) => each === null) ? null : (all as number[]);
}

/**
 * Seconds between two readings: by the guest's clock, which was read with them, unless it disagrees with ours by more
 * than half, as one does that lies or was stopped.
 */
export function secondsBetween(
  before: Pick<GuestCounters, 'atMs' | 'guestMs'>,
  after: Pick<GuestCounters, 'atMs' | 'guestMs'>,
): number {
  const own = (after.atMs - before.atMs) / 1000;
  const guest = (after.guestMs - before.guestMs) / 1000;
  return guest > own / 1.5 && guest < own * 1.5 ? guest : own;
}

export function guestRates(before: GuestCounters, after: GuestCounters): GuestRates {
  const seconds = secondsBetween(before, after);
  const of = <Key extends string>(
    part: (counters: GuestCounters) => Record<Key, number> | null,
    keys: readonly Key[],
  ): number[] | null => rates(part(before), part(after), seconds, keys);
  const faults = of(({ faults }) => faults, ['minor', 'major', 'refaults']);
  const disk = of(({ disk }) => disk, ['readBytes', 'writtenBytes', 'reads', 'writes']);
  const network = of(
    ({ network }) => network,
    ['receivedBytes', 'sentBytes', 'receivedPackets', 'sentPackets', 'faults'],
  );
  return {
    cpu: cpuRates(before, after, seconds),
    faults: faults && { minorPerSecond: faults[0]!, majorPerSecond: faults[1]!, refaultsPerSecond: faults[2]! },
    disk: disk && {
      readBytesPerSecond: disk[0]!,
      writtenBytesPerSecond: disk[1]!,
      readsPerSecond: disk[2]!,
      writesPerSecond: disk[3]!,
    },
    network: network && {
      receivedBytesPerSecond: network[0]!,
      sentBytesPerSecond: network[1]!,
      receivedPacketsPerSecond: network[2]!,
      sentPacketsPerSecond: network[3]!,
      faultsPerSecond: network[4]!,
    },
    pressure: pressureRates(before.pressure, after.pressure, seconds),
  };
}

/** In CPUs, at most as many as there are. Linux itself lets idle and iowait go back a little: that counts as none. */
function cpuRates(before: GuestCounters, after: GuestCounters, seconds: number): Record<CpuState, number> | null {
  const [old, now] = [before.cpuSeconds, after.cpuSeconds];
  if (old === null || now === null || seconds <= 0) return null;
  if (now.user < old.user || now.system < old.system) return null;
  const most = Math.max(after.cpus ?? 1, 1);
  return Object.fromEntries(
    CPU_STATES.map((state) => [state, Math.min(most, rate(old[state], now[state], seconds) ?? 0)]),
  ) as Record<CpuState, number>;
}

function pressureRates(before: PressureCounters | null, after: PressureCounters | null, seconds: number) {
  if (before === null || after === null) return null;
  const share = (key: keyof PressureCounters): Stall | null => {
    const both = rates<'some' | 'full'>(before[key], after[key], seconds, ['some', 'full']);
    return both && { some: Math.min(1, both[0]!), full: Math.min(1, both[1]!) };
  };
  return { cpu: share('cpu'), memory: share('memory'), io: share('io') };
}

/** Null when no time passed. A vCPU whose counter went back or is new has no rate yet and counts as 0. */
export function hostRates(before: HostCounters, after: HostCounters): HostRates | null {
  const seconds = (after.atMs - before.atMs) / 1000;
  if (seconds <= 0) return null;
  const vcpus = after.vcpus.map((now, at) => {
    const old = before.vcpus[at] ?? now;
    return {
      cpu: rate(old.ranSeconds, now.ranSeconds, seconds) ?? 0,
      delay: rate(old.delaySeconds, now.delaySeconds, seconds) ?? 0,
    };
  });
  return {
    vcpus,
    cpu: vcpus.reduce((sum, { cpu }) => sum + cpu, 0),
    delay: vcpus.reduce((sum, { delay }) => sum + delay, 0),
    others: rate(before.othersSeconds, after.othersSeconds, seconds) ?? 0,
  };
}

/** Neither idle nor waiting for a disk, in CPUs; what the hypervisor took is not the guest's work. */
export const busyOf = (cpu: Record<CpuState, number>): number => cpu.user + cpu.system + cpu.irq;
