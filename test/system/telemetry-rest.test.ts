/** Kernels at rest: asked seldom, and nothing of what they do is lost when they wake. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { EventLog } from '../../src/core/events.ts';
import { silentJournal } from '../../src/core/journal.ts';
import type { HostUsage, Kernel } from '../../src/driver/index.ts';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import { Telemetry } from '../../src/telemetry/telemetry.ts';
import { ManualClock } from '../support/manual-clock.ts';

const TICK_MS = 500;
const directory = mkdtempSync(join(tmpdir(), 'pk-rest-'));
const open: Telemetry[] = [];
afterEach(() => {
  for (const telemetry of open.splice(0)) telemetry.close();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

type Watch = Parameters<Kernel['guest']['watch']>;

/** A kernel that does what it is told: `run` for so many seconds of CPU. */
class Model {
  readonly asked: number[] = [];
  requests = 0;
  /** What its clock charged it with besides, in seconds; and tasks that wait. */
  believedSeconds = 0;
  waiting = 0;
  usages = 0;
  looks = 0;
  #ranSeconds = 0;
  #watch: { paths: Watch[0]; intervalMs: number; callback: Watch[2]; dueMs: number } | undefined;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  get kernel(): Kernel {
    return {
      guest: { name: 'web', hello: { cpus: 1 }, watch: (...words: Watch) => this.#ask(...words) },
      exited: new Promise(() => {}),
      usage: (): HostUsage => {
        this.usages += 1;
        return { vcpus: [{ ranNs: this.#ranSeconds * 1e9, waitedNs: 0 }], othersRanNs: 0, residentBytes: 4096 };
      },
      ranNs: () => {
        this.looks += 1;
        return this.#ranSeconds * 1e9;
      },
    } as unknown as Kernel;
  }

  /** Half a second, in which it runs for so long. */
  step(ranSeconds = 0): void {
    this.#ranSeconds += ranSeconds;
    this.#clock.advance(TICK_MS - 1);
    const watch = this.#watch;
    if (watch !== undefined && this.#clock.now() >= watch.dueMs) {
      watch.dueMs = this.#clock.now() + watch.intervalMs - 1;
      this.requests += 1;
      const now = this.#clock.now();
      const busy = Math.round((this.#ranSeconds + this.believedSeconds) * 100);
      const idle = Math.round(now / 10 - busy);
      const stat = `cpu  ${busy} 0 0 ${idle} 0 0 0 0\ncpu0 0\nprocs_running ${1 + this.waiting}\nprocs_blocked 0\n`;
      for (const path of watch.paths)
        watch.callback({
          path,
          monotonicNs: BigInt(Math.round(now)) * 1_000_000n,
          content: Buffer.from(path === '/proc/stat' ? stat : ''),
        } as Parameters<Watch[2]>[0]);
    }
    this.#clock.advance(1);
  }

  #ask(paths: Watch[0], intervalMs: number, callback: Watch[2]): () => void {
    this.asked.push(intervalMs);
    this.#watch = { paths, intervalMs, callback, dueMs: this.#clock.now() + intervalMs - 1 };
    return () => {};
  }
}

function measured(requestsOf: () => number = () => 0) {
  const clock = new ManualClock();
  const model = new Model(clock);
  const status = {
    id: 'a1',
    spec: { name: 'web', driver: 'model', cpus: 1, memoryBytes: 1 },
    state: 'running',
    restarts: 0,
    readyMs: 1,
  };
  let sequence = 0;
  const telemetry = new Telemetry({
    path: join(mkdtempSync(join(directory, 'of-')), 'telemetry.db'),
    instances: () => [status as unknown as InstanceStatus],
    channels: { list: () => [] },
    families: () => [],
    requestsOf: () => ({
      ratePerSecond: requestsOf(),
      errorsPerSecond: 0,
      inFlight: 0,
      latencyMs: { p50: null, p90: null, p99: null },
    }),
    events: new EventLog(() => ++sequence),
    clock,
    journal: silentJournal,
    samplesPerSecond: 1000 / TICK_MS,
  });
  open.push(telemetry);
  telemetry.kernelUp('a1', model.kernel);
  const steps = (count: number, ranSeconds = 0) => {
    for (let step = 0; step < count; step++) model.step(ranSeconds);
  };
  return { clock, model, telemetry, steps, series: (ms: number) => telemetry.series('web', 'a1', ms, TICK_MS) };
}

it('one at rest is asked every five seconds at most, and sampled as often as any', () => {
  const { model, steps, series } = measured();
  steps(30);
  expect(model.asked.at(-1)).toBeGreaterThanOrEqual(5000);
  const before = { ...model };
  steps(120);
  expect(model.requests - before.requests).toBeLessThanOrEqual(12);
  expect(model.usages - before.usages).toBeLessThanOrEqual(12);
  // After half a minute at rest it is looked at once a second.
  expect(model.looks - before.looks).toBeGreaterThanOrEqual(60);
  expect(model.looks - before.looks).toBeLessThan(100);
  const { times, values } = series(60_000);
  expect(times.length).toBeGreaterThanOrEqual(119);
  expect(values.cpuBusy).toEqual(times.map(() => 0));
  expect(values.hostResidentBytes).toEqual(times.map(() => 4096));
});

it('one that believes itself busy, for the host was late with it, comes to rest; one with tasks that wait does not', () => {
  const { model, steps } = measured();
  const late = (count: number) => {
    for (let step = 0; step < count; step++) {
      model.believedSeconds += 0.01;
      steps(1);
    }
  };
  model.waiting = 1;
  late(60);
  expect(model.asked.at(-1)).toBe(TICK_MS);
  model.waiting = 0;
  late(60);
  expect(model.asked.at(-1)).toBeGreaterThanOrEqual(5000);
});

it('one that wakes is asked as before, and what it did is told of when it did it', () => {
  const { model, telemetry, steps, series } = measured();
  // Three seconds after it was last asked.
  steps(30);
  const { requests } = model;
  while (model.requests === requests) steps(1);
  steps(6);
  steps(1, 0.4);
  expect(model.asked.at(-1)).toBe(TICK_MS);
  expect(telemetry.stats()[0]!.host!.vcpus[0]!.ranSeconds).toBeCloseTo(0.4);
  steps(5);
  const { values, peaks } = series(6_000);
  // All of it in the half second in which the host saw it, and in the second that the guest's next word is of.
  expect(Math.max(...values.hostCpu!.map(Number))).toBeCloseTo(0.8);
  expect(values.hostCpu!.filter((cpu) => Number(cpu) > 0)).toHaveLength(1);
  expect(Math.max(...peaks.cpuUser!.map(Number))).toBeCloseTo(0.4, 1);
  expect(values.cpuUser!.filter((cpu) => Number(cpu) > 0)).toHaveLength(1);
});

it('one that wakes after a long rest is asked again within a second, and nothing that it did is lost', () => {
  for (const quiet of [0, 1]) {
    const { model, telemetry, steps, series } = measured();
    steps(150 + quiet);
    steps(1, 0.4);
    for (let later = 0; later < 2 && model.asked.at(-1) !== TICK_MS; later++) steps(1);
    expect(model.asked.at(-1)).toBe(TICK_MS);
    steps(5);
    const { values } = series(8_000);
    // All of it, by the host's word, and in one sample.
    expect(values.hostCpu!.filter((cpu) => Number(cpu) > 0)).toEqual([expect.closeTo(0.8)]);
    expect(values.cpuUser!.filter((cpu) => Number(cpu) > 0)).toHaveLength(1);
    expect(telemetry.stats()[0]!.guest!.cpuSeconds!.user).toBeCloseTo(0.4);
  }
});

it('one that works a little, or is asked for something, does not rest', () => {
  const little = measured();
  little.steps(60, 0.02);
  expect(Math.max(...little.model.asked)).toBe(TICK_MS);
  let rate = 0;
  const asked = measured(() => rate);
  asked.steps(40);
  expect(asked.model.asked.at(-1)).toBeGreaterThanOrEqual(5000);
  rate = 1;
  asked.steps(40);
  expect(asked.model.asked.at(-1)).toBe(TICK_MS);
});
