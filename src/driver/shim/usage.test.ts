import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { qemuThreads } from '../qemu/threads.ts';
import { umlThreads } from '../uml/threads.ts';
import type { HostThread } from './launch-threads.ts';
import { type UsageOptions, UsageReader } from './usage.ts';

let proc: string;
let nowMs = 0;
let cpuMs = 0;
beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), 'pk-unit-'));
  nowMs = 0;
  cpuMs = 0;
});
afterEach(() => rmSync(proc, { recursive: true }));

/** A thread or process: nanoseconds it ran and waited, ticks of it and of its children. */
function put(id: number, ran: number, waited: number, ticks: number, reaped = 0): void {
  mkdirSync(join(proc, String(id)), { recursive: true });
  writeFileSync(join(proc, String(id), 'schedstat'), `${ran} ${waited} 5\n`);
  writeFileSync(join(proc, String(id), 'stat'), `${id} (a) b) S 1 1 1 0 -1 0 0 0 0 0 ${ticks} 0 ${reaped} 0 20 0\n`);
  writeFileSync(join(proc, String(id), 'statm'), '1000 25 3 4 5 6 7\n');
}
const reader = (threads: () => HostThread[], change: Partial<UsageOptions>) =>
  new UsageReader({
    directory: '/launch',
    threadsOf: qemuThreads,
    childrenAreVcpu: false,
    proc,
    now: () => nowMs,
    cpuNow: () => cpuMs,
    // biome-ignore lint/correctness/useYield: there are few of them
    *find() {
      return threads();
    },
    ...change,
  });
const thread = (pid: number, tid: number, name: string, jailPid: number | null): HostThread => ({
  pid,
  tid,
  name,
  jailPid,
});

it('QEMU: each vCPU by its thread, the rest of its process beside the jail', () => {
  put(10, 0, 0, 1);
  put(20, 0, 0, 7);
  put(21, 30_000_000, 5, 0);
  put(22, 20_000_000, 6, 0);
  const threads = [
    thread(10, 10, 'pk-shim', null),
    thread(20, 20, 'qemu', 2),
    thread(20, 21, 'CPU 0/TCG', 2),
    thread(20, 22, 'CPU 1/TCG', 2),
  ];
  const usage = reader(() => threads, {});
  expect(usage.read()).toEqual({
    vcpus: [
      { ranNs: 30_000_000, waitedNs: 5 },
      { ranNs: 20_000_000, waitedNs: 6 },
    ],
    othersRanNs: 30_000_000,
    residentBytes: 25 * 4096,
  });
});

it('UML: all processes of the guest, those that have ended as well; never backwards', () => {
  put(10, 0, 0, 2);
  put(20, 50_000_000, 1, 5);
  put(30, 40_000_000, 2, 4);
  let threads = [thread(10, 10, 'pk-shim', null), thread(20, 20, 'linux', 2), thread(30, 30, 'linux', 9)];
  const usage = reader(() => threads, { threadsOf: umlThreads, childrenAreVcpu: true });
  expect(usage.read()).toEqual({
    vcpus: [{ ranNs: 90_000_000, waitedNs: 3 }],
    othersRanNs: 20_000_000,
    residentBytes: 25 * 4096,
  });
  rmSync(join(proc, '30'), { recursive: true });
  threads = threads.slice(0, 2);
  put(20, 60_000_000, 1, 6, 3);
  // Its 40 ms are 30 in ticks by now: less than before is the same.
  expect(usage.read()?.vcpus).toEqual([{ ranNs: 90_000_000, waitedNs: 3 }]);
  put(20, 70_000_000, 1, 7, 4);
  expect(usage.read()?.vcpus).toEqual([{ ranNs: 110_000_000, waitedNs: 3 }]);
});

it('is undefined when the launch has ended', () => {
  expect(reader(() => [], {}).read()).toBeUndefined();
  const none = () => {
    throw new Error('no kernel runs');
  };
  expect(reader(none, {}).read()).toBeUndefined();
});

it('reads less often what is expensive to read', () => {
  put(20, 1_000_000, 0, 1);
  const threads = [thread(20, 20, 'linux', 2)];
  const usage = reader(() => threads, { threadsOf: umlThreads, childrenAreVcpu: true, cpuNow: () => (cpuMs += 3) });
  const first = usage.read();
  put(20, 2_000_000, 0, 1);
  nowMs = 999;
  expect(usage.read()).toBe(first);
  nowMs = 1000;
  expect(usage.read()).not.toBe(first);
});

it('of a VMM with a great many processes keeps nobody else waiting', async () => {
  put(20, 50_000_000, 1, 5);
  const threads = Array.from({ length: 2000 }, (_, at) => thread(20 + at, 20 + at, 'linux', 2 + at));
  const usage = reader(() => threads, { threadsOf: umlThreads, childrenAreVcpu: true });
  expect(usage.read()).toBeUndefined();
  let turns = 0;
  for (; usage.read() === undefined; turns++) await new Promise((resolve) => setImmediate(resolve));
  expect(turns).toBeGreaterThanOrEqual(10);
  expect(usage.read()?.vcpus).toEqual([{ ranNs: 50_000_000, waitedNs: 1 }]);
});

it('of one at rest: what its vCPUs ran, from files held open, without a look for new threads', () => {
  put(20, 50_000_000, 1, 5);
  put(30, 40_000_000, 2, 4);
  let found = 0;
  const usage = reader(
    () => {
      found += 1;
      return [thread(20, 20, 'linux', 2), thread(30, 30, 'linux', 9)];
    },
    { threadsOf: umlThreads, childrenAreVcpu: true },
  );
  expect(usage.ranNs()).toBeUndefined();
  usage.read();
  const before = readdirSync('/proc/self/fd').length;
  expect(usage.ranNs()).toBe(90_000_000);
  put(30, 47_000_000, 2, 4);
  expect(usage.ranNs()).toBe(97_000_000);
  nowMs += 100_000;
  expect(usage.read(true)?.vcpus[0]?.ranNs).toBe(97_000_000);
  expect(found).toBe(1);
  expect(readdirSync('/proc/self/fd').length).toBe(before + 2);
  nowMs += 100_000;
  usage.read();
  expect([found, readdirSync('/proc/self/fd').length]).toEqual([2, before]);
  // A thread that has ended: it is not known what its kernel did.
  rmSync(join(proc, '30'), { recursive: true });
  expect(usage.ranNs()).toBeUndefined();
  usage.close();
  expect(readdirSync('/proc/self/fd').length).toBe(before);
});
