/**
 * Memory that is no longer needed, given back to the host kernel. V8 collects when its heap is full and the C library keeps what
 * it was given in pieces: so a daemon that has started, or has done much, would hold many megabytes for nothing.
 */
import { letGoOfProgram, letGoOfShared, releaseFreeMemory } from './memory.ts';
import { collectGarbage } from './node.ts';

const LOOK_MS = 2_000;
/** So many looks one after the other must find the program at rest, each time. What was compiled goes with the rest: streams that were
 * made to compile again took three times as long in the daemon. */
const REST_LOOKS = 5;
/** While it stays at rest garbage is collected after twice as many as the time before, up to so many: what came back is mostly what it needs. */
const MOST_LOOKS = 320;
/** Growth below that is not worth it. */
const WORTH_BYTES = 2 * 2 ** 20;
/** Share of the time up to which the program is at rest: looking at 100 idle kernels takes 0.07. */
const MOST_BUSY = 0.2;

export interface GiveBackOptions {
  lookMs?: number;
  /** Of the program, in bytes. */
  resident?(): number;
  /** Share of the time since the last call, from 0 to 1. */
  busy?(): number;
  /** `thoroughly`: for the first time since it did something. */
  release?(thoroughly: boolean): void;
  /** What costs next to nothing, and may be all that has grown. */
  letGo?(): void;
}

/** From now on looks every two seconds; returns what ends that. Keeps no program alive. */
export function giveBackMemory(options: GiveBackOptions = {}): () => void {
  const { lookMs = LOOK_MS, resident = process.memoryUsage.rss, busy = busyShare() } = options;
  const { release = releaseAll, letGo = letGoOfShared } = options;
  /** What it held when it last gave back: what has come since may be garbage. */
  let held = 0;
  let rested = 0;
  let wait = REST_LOOKS;
  const timer = setInterval(() => {
    rested += 1;
    if (busy() > MOST_BUSY) [rested, wait] = [0, REST_LOOKS];
    if (rested < REST_LOOKS || rested % REST_LOOKS > 0 || resident() < held + WORTH_BYTES) return;
    letGo();
    const left = resident();
    if (left < held + WORTH_BYTES) held = Math.min(held, left);
    if (left < held + WORTH_BYTES || rested < wait) return;
    rested = 0;
    release(wait === REST_LOOKS);
    wait = Math.min(2 * wait, MOST_LOOKS);
    held = resident();
  }, lookMs);
  timer.unref();
  return () => clearInterval(timer);
}

function busyShare(): () => number {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}

/** What was compiled goes too when it is done thoroughly, and would be compiled again each time. */
function releaseAll(thoroughly: boolean): void {
  collectGarbage(thoroughly ? 'last-resort' : 'regular');
  releaseFreeMemory();
  letGoOfProgram();
}
