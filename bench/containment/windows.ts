/** What a neighbour's probe sees in windows of quiet and of fault, taken in turn. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '../../src/client/index.ts';
import { quantile } from '../../src/containment/figures.ts';
import { median } from '../row.ts';
import { type Fault, inKernel, onCpu, PERIOD_MS, type Probe, startFault, startProbe } from './program.ts';

const WINDOW_MS = 500;
/** What was done in a window has come by then: probes write ten times a second. */
const GRACE_MS = 200;

/** Who is harmed, and who is looked at; the same in one shared kernel. */
export interface Place {
  client: Client;
  victim: string;
  neighbour: string;
  /** A file on a disk of this machine, as each sees it. */
  disks: { victim: string; neighbour: string };
  /** Where a flood goes. */
  target: string;
  /** On which CPUs, for people. */
  where: string;
  /** What the victim's programs are bound by. */
  before?: string;
}

export interface Seen {
  /** Of each window the 99th percentile of latencies, in ms. What was not done is counted as late as it was when the window was over. */
  first: number[];
  fault: number[];
  second: number[];
  /** Of 1 the share of the requests under the fault that were done. */
  served: number;
  /** The hog's work beside the neighbour, and alone; 0 where it does none. */
  beside: number;
  alone: number;
  /** From the fault to the first word of the victim's end at a client, in ms. */
  toEvent: number[];
}

/** In so many rounds one is with the hog alone, whose work changes less than a neighbour's latency. */
const ALONE_EVERY = 4;

const HOGS: ReadonlySet<string> = new Set(['cpu-hog', 'mem-hog', 'io-hog', 'net-flood']);

/** `rounds` windows of each kind. `alone`: the hog's work without a neighbour as well. */
export async function windows(place: Place, fault: string, rounds: number, alone: boolean): Promise<Seen> {
  const seen: Seen = { first: [], fault: [], second: [], served: 0, beside: 0, alone: 0, toEvent: [] };
  const work: Record<'beside' | 'alone', number[]> = { beside: [], alone: [] };
  const disk = fault === 'io-hog' ? place.disks : undefined;
  const args = fault === 'io-hog' ? [`${place.disks.victim}.hog`] : fault === 'net-flood' ? [place.target] : [];
  const begin = () => startFault(inKernel(place.client, place.victim, place.before), fault, args);
  const look = () => startProbe(inKernel(place.client, place.neighbour), disk?.neighbour);
  for (let round = 0; round < rounds; round++) {
    const probe = await look();
    await pause(GRACE_MS);
    seen.first.push(p99(await window(probe)));
    const program = await begin();
    const crashed = crashOf(place);
    const goneMs = performance.now();
    program.go();
    const under = await window(probe);
    seen.fault.push(p99(under));
    seen.served += servedOf(probe, goneMs) / rounds;
    const eventMs = await crashed.seen();
    if (eventMs !== undefined) seen.toEvent.push(eventMs - goneMs);
    if (alone && HOGS.has(fault)) work.beside.push(await program.rate(WINDOW_MS));
    const isSame = await end(place, fault, program);
    if (isSame) {
      seen.second.push(p99(await window(probe)));
      await probe.end();
    } else {
      await probe.end();
      const again = await look();
      await pause(GRACE_MS);
      seen.second.push(p99(await window(again)));
      await again.end();
    }
    if (!alone || !HOGS.has(fault) || round % ALONE_EVERY !== 0) continue;
    const lonely = await begin();
    lonely.go();
    work.alone.push(await lonely.rate(WINDOW_MS));
    await end(place, fault, lonely);
  }
  if (work.beside.length > 0) seen.beside = median(work.beside);
  if (work.alone.length > 0) seen.alone = median(work.alone);
  return seen;
}

/** The same without kernels, and without a wall: a probe on one CPU, and a hog that computes on another. */
export async function bareWindows(
  probeCpu: number,
  hogCpu: number,
  rounds: number,
): Promise<Pick<Seen, 'first' | 'fault' | 'second'>> {
  const seen = { first: [] as number[], fault: [] as number[], second: [] as number[] };
  const probe = await startProbe(onCpu(probeCpu));
  await pause(GRACE_MS);
  for (let round = 0; round < rounds; round++) {
    seen.first.push(p99(await window(probe)));
    const program = await startFault(onCpu(hogCpu), 'cpu-hog');
    program.go();
    seen.fault.push(p99(await window(probe)));
    await program.end();
    await pause(GRACE_MS);
    seen.second.push(p99(await window(probe)));
  }
  await probe.end();
  return seen;
}

const p99 = (latencies: readonly number[]): number =>
  quantile(
    [...latencies].sort((a, b) => a - b),
    0.99,
  ) ?? 0;

/** Latencies of what was due in a window that begins now. */
async function window(probe: Probe): Promise<number[]> {
  const fromMs = performance.now();
  await pause(WINDOW_MS + GRACE_MS);
  const now = performance.now();
  return dueIn(probe, fromMs).map((index) => probe.done.get(index) ?? now - probe.begunMs - index * PERIOD_MS);
}

function servedOf(probe: Probe, fromMs: number): number {
  const due = dueIn(probe, fromMs);
  return due.filter((index) => probe.done.has(index)).length / due.length;
}

function dueIn({ begunMs }: Probe, fromMs: number): number[] {
  const first = Math.ceil((fromMs - begunMs) / PERIOD_MS);
  return Array.from({ length: WINDOW_MS / PERIOD_MS }, (_, at) => first + at);
}

/** Whether the neighbour's kernel is still the same: a shared one is restarted with the victim. */
async function end(place: Place, fault: string, program: Fault): Promise<boolean> {
  const { client, victim, neighbour } = place;
  if (HOGS.has(fault) || fault === 'clock-jump') {
    await program.end();
    await pause(GRACE_MS);
    return true;
  }
  await client.kill(victim, {}).catch(() => {});
  await client.wait(victim);
  await client.start(victim);
  await program.end();
  await pause(GRACE_MS);
  return victim !== neighbour;
}

/** When the first word of the victim's end came to a client: that its health is lost, or that all of it is gone. */
function crashOf({ client, victim }: Place): { seen(): Promise<number | undefined> } {
  const stop = new AbortController();
  let atMs: number | undefined;
  const listening = (async () => {
    for await (const { type, name } of client.events({}, stop.signal)) {
      if ((type !== 'crashed' && type !== 'health-lost') || name !== victim) continue;
      atMs = performance.now();
      return;
    }
  })().catch(() => {});
  return {
    async seen() {
      stop.abort();
      await listening;
      return atMs;
    },
  };
}
