/**
 * CPU time and memory of a launch, as the host kernel accounts them: from schedstat of its vCPU threads, which a guest
 * cannot change. All of it is cheap: the tree of processes is looked at far less often than the counters.
 */
import { join } from 'node:path';
import { inTurns, type Slices } from '../../sys/slices.ts';
import { HeldFiles, readSmallFile } from '../../sys/small-file.ts';
import type { HostUsage } from '../driver.ts';
import { findThreads, type HostThread, type LaunchThreads, listedChildren, processTree } from './launch-threads.ts';

/** Processes of a guest come and go; threads of a VMM stay. */
const FIND_AGAIN_MS = { children: 2_000, threads: 10_000 };
/** Of one CPU: when finding threads, or reading their counters, is expensive, it is done less often. */
const MOST_CPU = 0.003;
/** Of one at rest: whatever its others do, these do something as well. */
const MOST_HELD = 16;
/** A millisecond or two, and how many of them are not put off. */
const FILES_PER_SLICE = 100;
const SLICES_AT_ONCE = 4;
/** USER_HZ and the page size of the host's /proc; both are the same on all hosts we run on. */
const TICK_NS = 10_000_000;
const PAGE_BYTES = 4096;

export interface UsageOptions {
  directory: string;
  threadsOf(threads: readonly HostThread[]): LaunchThreads;
  /** Processes below the VMM are the guest's, and take the place of a vCPU. */
  childrenAreVcpu: boolean;
  proc?: string;
  /** Milliseconds, and CPU time of this thread in milliseconds. */
  now?: () => number;
  cpuNow?: () => number;
  find?(directory: string): Slices<HostThread[]>;
}

/** One look at all processes serves all launches, where the host kernel does not list the children of each. */
let recent = { atMs: -Infinity, proc: '', tree: processTree('/nonexistent') };

function recentTree(proc: string): typeof recent.tree {
  const atMs = performance.now();
  if (atMs - recent.atMs > FIND_AGAIN_MS.children / 2 || recent.proc !== proc)
    recent = { atMs, proc, tree: processTree(proc) };
  return recent.tree;
}

export class UsageReader {
  readonly #options: Required<UsageOptions>;
  #threads: LaunchThreads | undefined;
  #processes = new Map<number, number[]>();
  #findNotBefore = -Infinity;
  #notBefore = -Infinity;
  #last: HostUsage | undefined;
  /** It goes on reading, in turns of its own. */
  #isReading = false;
  /** Held open while it is at rest. */
  #held: HeldFiles | undefined;

  constructor(options: UsageOptions) {
    const proc = options.proc ?? '/proc';
    this.#options = {
      proc,
      now: () => performance.now(),
      cpuNow: threadCpuMs,
      find: (directory) =>
        findThreads(
          directory,
          proc,
          listedChildren(proc, () => recentTree(proc)),
        ),
      ...options,
    };
  }

  /**
   * The last one again when it is too early for another, or there are so many threads that reading it takes a while; undefined when the
   * launch has ended. One `atRest` has started no threads since the last call.
   */
  read(atRest = false): HostUsage | undefined {
    const begun = this.#options.now();
    if (!atRest) this.close();
    if (begun < this.#notBefore || this.#isReading) return this.#last;
    const slices = this.#look(begun, atRest);
    for (let slice = 0; slice < SLICES_AT_ONCE; slice++) if (slices.next().done === true) return this.#last;
    this.#isReading = true;
    void inTurns(slices).then(() => {
      this.#isReading = false;
    });
    return this.#last;
  }

  /** Throws nothing. */
  *#look(begun: number, atRest: boolean): Slices<void> {
    try {
      if (this.#threads === undefined || (!atRest && begun >= this.#findNotBefore)) yield* this.#find(begun);
      const cpu = this.#options.cpuNow();
      this.#last = yield* this.#read();
      this.#notBefore = begun + (this.#options.cpuNow() - cpu) / MOST_CPU;
    } catch {
      // The launch has ended.
      this.#threads = undefined;
      this.#last = undefined;
    }
  }

  /** CPU time of the first of its vCPU threads, as last found; undefined when one of them has ended. Until close() or read(). */
  ranNs(): number | undefined {
    if (this.#threads === undefined) return undefined;
    this.#held ??= new HeldFiles(
      this.#threads.vcpus
        .flat()
        .slice(0, MOST_HELD)
        .map((tid) => join(this.#options.proc, String(tid), 'schedstat')),
    );
    const ran = this.#held.read()?.reduce((sum, text) => sum + Number.parseInt(text, 10), 0);
    return Number.isFinite(ran) ? ran : undefined;
  }

  /** Lets go of what ranNs() holds open. */
  close(): void {
    this.#held?.close();
    this.#held = undefined;
  }

  *#read(): Slices<HostUsage | undefined> {
    const { childrenAreVcpu } = this.#options;
    const threads = this.#threads;
    if (threads === undefined || threads.vmm === 0) return undefined;
    const ran = new Map<number, number>();
    const vcpus: { ranNs: number; waitedNs: number }[] = [];
    let looked = 0;
    for (const tids of threads.vcpus) {
      const total = { ranNs: 0, waitedNs: 0 };
      for (const tid of tids) {
        if (++looked % FILES_PER_SLICE === 0) yield;
        const times = this.#schedstat(tid);
        ran.set(tid, times?.ranNs ?? 0);
        total.ranNs += times?.ranNs ?? 0;
        total.waitedNs += times?.waitedNs ?? 0;
      }
      vcpus.push(total);
    }
    const vmm = this.#stat(threads.vmm);
    if (vmm === undefined) {
      this.#threads = undefined;
      return undefined;
    }
    // Processes of the guest that have ended.
    if (childrenAreVcpu && vcpus[0] !== undefined) vcpus[0].ranNs += vmm.reapedNs;
    let othersRanNs = 0;
    for (const [pid, tids] of this.#processes) {
      if (++looked % FILES_PER_SLICE === 0) yield;
      const own = tids.reduce((sum, tid) => sum + (ran.get(tid) ?? 0), 0);
      if (childrenAreVcpu && own > 0) continue;
      othersRanNs += Math.max(0, (this.#stat(pid)?.ranNs ?? 0) - own);
    }
    return {
      vcpus: vcpus.map(({ ranNs, waitedNs }, at) => ({
        ranNs: Math.max(ranNs, this.#last?.vcpus[at]?.ranNs ?? 0),
        waitedNs: Math.max(waitedNs, this.#last?.vcpus[at]?.waitedNs ?? 0),
      })),
      othersRanNs: Math.max(othersRanNs, this.#last?.othersRanNs ?? 0),
      residentBytes: this.#resident(threads.vmm),
    };
  }

  *#find(nowMs: number): Slices<void> {
    const { cpuNow, find, directory, threadsOf, childrenAreVcpu } = this.#options;
    const cpu = cpuNow();
    const all = yield* find(directory);
    this.#threads = threadsOf(all);
    this.#processes = new Map();
    for (const { pid, tid } of all) {
      const tids = this.#processes.get(pid);
      if (tids === undefined) this.#processes.set(pid, [tid]);
      else tids.push(tid);
    }
    const pause = childrenAreVcpu ? FIND_AGAIN_MS.children : FIND_AGAIN_MS.threads;
    this.#findNotBefore = nowMs + Math.max(pause, (cpuNow() - cpu) / MOST_CPU);
  }

  /** Time on a CPU and time waiting for one, in nanoseconds: sched-stats of the kernel's documentation. */
  #schedstat(tid: number): { ranNs: number; waitedNs: number } | undefined {
    const match = /^(\d{1,18}) (\d{1,18}) /.exec(this.#file(String(tid), 'schedstat') ?? '');
    return match === null ? undefined : { ranNs: Number(match[1]), waitedNs: Number(match[2]) };
  }

  /** Of all threads of a process that there ever were, and of its children that have ended. */
  #stat(pid: number): { ranNs: number; reapedNs: number } | undefined {
    const text = this.#file(String(pid), 'stat');
    if (text === undefined) return undefined;
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15).map(Number);
    return { ranNs: (user + system) * TICK_NS, reapedNs: (childUser + childSystem) * TICK_NS };
  }

  #resident(pid: number): number | null {
    const pages = /^\d+ (\d{1,15}) /.exec(this.#file(String(pid), 'statm') ?? '')?.[1];
    return pages === undefined ? null : Number(pages) * PAGE_BYTES;
  }

  #file(...path: string[]): string | undefined {
    return readSmallFile(join(this.#options.proc, ...path));
  }
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
