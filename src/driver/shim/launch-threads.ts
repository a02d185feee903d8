/**
 * The threads of a launch, found from outside: from the shim downwards in the host's /proc. Which of them are vCPUs is
 * told by what a compromised VMM cannot change to its advantage: a wrong name only moves its own threads among its own CPUs.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PolykernelError } from '../../sys/errors.ts';
import { atOnce, type Slices } from '../../sys/slices.ts';
import { readMost, readSmallFile } from '../../sys/small-file.ts';
import { readShimProcess } from './process.ts';

/** A few milliseconds. */
const PROCESSES_PER_SLICE = 50;
/** Of the most processes that a kernel may have, and more. */
const CHILDREN_BYTES = 2 ** 20;

/** Numbers are the host's. */
export interface HostThread {
  pid: number;
  tid: number;
  /** As /proc has it when it is asked for; empty once it has ended. */
  readonly name: string;
  /** Number of its process in the jail, whose first process, bwrap's own, is 1; null outside. */
  jailPid: number | null;
  /** Start time of its process, as /proc has it; undefined once that has ended. */
  startTime?: string | undefined;
}

/** What the threads of a launch are for. */
export interface LaunchThreads {
  /** Threads of each vCPU, in vCPU order. Where there is no such thread, all processes of the kernel take the place of one. */
  vcpus: readonly (readonly number[])[];
  /** All other threads: of the shim, the jail and the VMM. */
  others: readonly number[];
  /** The VMM's main process, which maps the guest's memory; 0 when it is not there. */
  vmm: number;
}

/** In the jail, and no process of the jail's own. */
export const isInner = (jailPid: number | null): boolean => jailPid !== null && jailPid > 1;

/** The first that the jail has started; what a guest starts comes later. */
export function mainProcess(threads: readonly HostThread[]): number {
  let first: HostThread | undefined;
  for (const thread of threads) {
    if (isInner(thread.jailPid) && (first === undefined || thread.jailPid! < first.jailPid!)) first = thread;
  }
  return first?.pid ?? 0;
}

/** Every thread of the shim of `directory` and of what it started, parents before children. Throws `kernel-died` when there is none. */
export const launchThreads = (directory: string): HostThread[] => atOnce(findThreads(directory));

/** The same, little by little: a VMM has as many as it likes. */
export function* findThreads(directory: string, proc = '/proc', children?: Children): Slices<HostThread[]> {
  const shim = readShimProcess(directory);
  if (shim === undefined) throw new PolykernelError('kernel-died', `no kernel runs in ${directory}`);
  return yield* threadsBelow(shim.pid, proc, children);
}

/** Of a process whose threads are `tids`. */
export type Children = (pid: number, tids: readonly string[]) => readonly number[];

/** As the tree has them: all that there are. */
export const childrenIn =
  (tree: ReadonlyMap<number, readonly number[]>): Children =>
  (pid) =>
    tree.get(pid) ?? [];

/** There is a list for each thread: of a process with more, all processes are looked at instead. */
const MOST_LISTS = 64;

/**
 * As the host kernel lists them, without a look at every process there is, which is `tree`; where it lists none, or too many lists, by
 * that. One may be left out while another ends: for who looks again.
 */
export function listedChildren(proc: string, tree: () => ReturnType<typeof processTree>): Children {
  const hasLists = existsSync(join(proc, 'thread-self', 'children'));
  return (pid, tids) =>
    hasLists && tids.length <= MOST_LISTS
      ? tids.flatMap((tid) => numbersIn(join(proc, String(pid), 'task', tid, 'children')))
      : (tree().get(pid) ?? []);
}

/** All of them: a process can have more children than fit into what is read of small files. */
const numbersIn = (path: string): number[] => readMost(path, CHILDREN_BYTES)?.match(/\d+/g)?.map(Number) ?? [];

/** The children of every process. */
export function processTree(proc = '/proc'): ReadonlyMap<number, readonly number[]> {
  const children = new Map<number, number[]>();
  for (const entry of list(proc)) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = parentOf(join(proc, entry));
    if (parent === undefined) continue;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [Number(entry)]);
    else siblings.push(Number(entry));
  }
  return children;
}

/** Every thread of process `root` and its descendants. Names are not read here: there may be as many threads as a VMM likes. */
export function* threadsBelow(
  root: number,
  proc = '/proc',
  children = childrenIn(processTree(proc)),
): Slices<HostThread[]> {
  const threads: HostThread[] = [];
  let looked = 0;
  for (const pids = [root]; pids.length > 0; ) {
    if (++looked % PROCESSES_PER_SLICE === 0) yield;
    const pid = pids.shift()!;
    const tids = list(join(proc, String(pid), 'task'));
    pids.push(...children(pid, tids));
    const found = { jailPid: jailPidOf(join(proc, String(pid))), startTime: startTimeOf(join(proc, String(pid))) };
    for (const tid of tids) threads.push(new Thread(pid, Number(tid), found, join(proc, String(pid), 'task', tid)));
  }
  return threads;
}

class Thread implements HostThread {
  readonly pid: number;
  readonly tid: number;
  readonly jailPid: number | null;
  readonly startTime: string | undefined;
  readonly #proc: string;

  constructor(pid: number, tid: number, process: Pick<HostThread, 'jailPid' | 'startTime'>, proc: string) {
    this.pid = pid;
    this.tid = tid;
    this.jailPid = process.jailPid;
    this.startTime = process.startTime;
    this.#proc = proc;
  }

  get name(): string {
    return readSmallFile(join(this.#proc, 'comm'))?.trim() ?? '';
  }
}

/** Whether a thread that was found has not ended since: its number may be that of any program of the host by then. */
export const isThere = (
  { pid, tid, startTime }: Pick<HostThread, 'pid' | 'tid' | 'startTime'>,
  proc = '/proc',
): boolean =>
  startTime !== undefined &&
  startTimeOf(join(proc, String(pid))) === startTime &&
  existsSync(join(proc, String(pid), 'task', String(tid)));

/** Field 4 of proc(5) stat. */
function parentOf(process: string): number | undefined {
  const parent = fieldsOf(process)?.[1];
  return parent === undefined ? undefined : Number(parent);
}

/** Field 22. Also of one whose first thread has ended. */
const startTimeOf = (process: string): string | undefined => fieldsOf(process)?.[19];

/** From field 3 on: the name in field 2 may hold spaces and parentheses. */
function fieldsOf(process: string): string[] | undefined {
  const stat = readSmallFile(join(process, 'stat'));
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** NSpid lists the numbers of a process from our namespace inwards. */
function jailPidOf(process: string): number | null {
  const numbers = /^NSpid:\s*(.*)$/m.exec(readSmallFile(join(process, 'status')) ?? '')?.[1]?.split(/\s+/) ?? [];
  return numbers.length > 1 ? Number(numbers.at(-1)) : null;
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
