/**
 * The control groups that bound what one jail takes of the host, memory and processes: a kernel's, or a tool's. Which
 * groups those are is data (LimitGroup), written down before they are made, so that whoever finds it can remove them.
 *
 * INVARIANTS: a group is read back after it was written. Groups are removed when nothing runs in them; then their counts
 * are gone, so read these first.
 */
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type GroupState, groupState, removeGroup } from './control-groups.ts';
import { asPolykernelError, PolykernelError } from './errors.ts';
import { errnoOf, type HostFiles, hostFiles } from './host-files.ts';
import {
  LIMIT_CONTROLLERS,
  type LimitController,
  type LimitPlace,
  limitPlaces,
  missingControllers,
} from './limit-places.ts';

export interface GroupLimits {
  /** Processes and threads. */
  processes: number;
  /** Whole pages. Swap comes out of it in version 1, and may be as much again in version 2. */
  memoryBytes: number;
}

export interface LimitGroup {
  version: 1 | 2;
  path: string;
  controllers: readonly LimitController[];
}

const SHOWN = [
  'memory.max',
  'memory.swap.max',
  'memory.current',
  'memory.limit_in_bytes',
  'memory.memsw.limit_in_bytes',
  'memory.usage_in_bytes',
  'pids.max',
  'pids.current',
];
/** A group is in use until the host kernel has let go of the last process, a moment after its end was seen. */
const REMOVE_DEADLINE_MS = 2000;
const POLL_MS = 5;

export class LimitGroups {
  readonly #host: HostFiles;
  #places: LimitPlace[] | undefined;

  constructor(host: HostFiles = hostFiles()) {
    this.#host = host;
  }

  /** The groups that jail `id` is to have; none where this user may make none. Makes nothing. */
  plan(id: string): LimitGroup[] {
    this.#places ??= limitPlaces(this.#host).places;
    return this.#places.map(({ version, parent, controllers }) => ({
      version,
      path: `${parent}/polykernel-${id}`,
      controllers,
    }));
  }

  /** Makes them, or changes them. Throws `permission` or `internal`, naming the file. */
  set(groups: readonly LimitGroup[], limits: GroupLimits): void {
    for (const { version, path, controllers } of groups) {
      if (version === 2) this.#enable(dirname(path), controllers);
      this.#try(`making the control group ${path}`, () => this.#host.makeDirectory(path));
      for (const controller of controllers) {
        for (const [file, value, optional] of this.#values(version, path, controller, limits)) {
          if (optional && this.#host.read(`${path}/${file}`) === undefined) continue;
          this.#try(`writing ${value} to ${path}/${file}`, () => this.#host.write(`${path}/${file}`, value));
          const real = this.#host.read(`${path}/${file}`);
          if (real === value) continue;
          throw new PolykernelError('internal', `${path}/${file} holds ${real ?? 'nothing'}, not ${value}`, {
            field: 'limits',
            value: real,
          });
        }
      }
    }
  }

  /** What pk-shim takes to have its program start in them. In version 1 a single thread joins without a wait for all CPUs. */
  joinPaths(groups: readonly LimitGroup[]): string[] {
    return groups.map(({ version, path }) => (version === 1 ? `${path}/tasks` : path));
  }

  /** Moves processes there with all their threads. Those that have ended are passed over. Throws as set(). */
  add(groups: readonly LimitGroup[], pids: readonly number[]): void {
    for (const { path } of groups) {
      for (const pid of pids) {
        this.#try(`moving process ${pid} to ${path}`, () => {
          try {
            this.#host.write(`${path}/cgroup.procs`, String(pid));
          } catch (error) {
            if (errnoOf(error) !== 'ESRCH') throw error;
          }
        });
      }
    }
  }

  /** What the host kernel says of those in which something runs. */
  read(groups: readonly LimitGroup[]): GroupState[] {
    return groups.flatMap(({ path }) =>
      this.#host.read(`${path}/cgroup.procs`) ? groupState(this.#host, path, SHOWN) : [],
    );
  }

  /** How many processes the host kernel has killed because the groups were full. */
  outOfMemoryKills(groups: readonly LimitGroup[]): number {
    const counts = groups.flatMap(({ path }) =>
      ['memory.events', 'memory.oom_control'].map((file) =>
        Number(/^oom_kill (\d{1,15})$/m.exec(this.#host.read(`${path}/${file}`) ?? '')?.[1] ?? 0),
      ),
    );
    return Math.max(0, ...counts);
  }

  /** Removes them; false when something still runs there after a while. */
  async remove(groups: readonly LimitGroup[]): Promise<boolean> {
    const deadline = performance.now() + REMOVE_DEADLINE_MS;
    while (!this.removeEmpty(groups)) {
      if (performance.now() >= deadline) return false;
      await delay(POLL_MS);
    }
    return true;
  }

  /** Removes those in which nothing runs; false when something runs in another one. */
  removeEmpty(groups: readonly LimitGroup[]): boolean {
    return groups.map(({ path }) => removeGroup(this.#host, path)).every(Boolean);
  }

  #enable(parent: string, controllers: readonly string[]): void {
    const off = missingControllers(this.#host, parent, controllers);
    if (off.length === 0) return;
    const file = `${parent}/cgroup.subtree_control`;
    this.#try(`switching ${off.join(' and ')} on in ${parent}`, () =>
      this.#host.write(file, off.map((name) => `+${name}`).join(' ')),
    );
  }

  /** In the order of writing; the last of the three says that not every host kernel has the file. */
  #values(
    version: 1 | 2,
    path: string,
    controller: LimitController,
    { processes, memoryBytes }: GroupLimits,
  ): (readonly [file: string, value: string, optional?: boolean])[] {
    if (controller === 'pids') return [['pids.max', String(processes)]];
    const bytes = String(memoryBytes);
    if (version === 2) {
      return [
        ['memory.max', bytes],
        ['memory.swap.max', bytes, true],
        // A kernel without one of its processes is of no use to anybody.
        ['memory.oom.group', '1', true],
      ];
    }
    // Memory and swap together are never less than memory alone.
    const values = [
      ['memory.limit_in_bytes', bytes],
      ['memory.memsw.limit_in_bytes', bytes, true],
    ] as const;
    const before = Number(this.#host.read(`${path}/memory.memsw.limit_in_bytes`) ?? 0);
    return before < memoryBytes ? [...values].reverse() : [...values];
  }

  #try(what: string, body: () => void): void {
    try {
      body();
    } catch (error) {
      throw asPolykernelError(error, what);
    }
  }
}

/** By what memory and processes of kernels can be bounded here, and why not by more. Reads only. */
export function limitMechanism(host: HostFiles = hostFiles()): { groups: readonly LimitController[]; notes: string[] } {
  const { places, notes } = limitPlaces(host);
  const found = places.flatMap(({ controllers }) => controllers);
  return { groups: LIMIT_CONTROLLERS.filter((name) => found.includes(name)), notes };
}
