/**
 * What one kernel may take of the host at most (docs/enforcement.md, "Limits"): its jail's processes, memory and open
 * files. Control groups hold the first two where this user may make some, over all processes together; resource limits
 * hold in any case, for each process or user id. Files outside volumes lie on memory file systems of a fixed size.
 *
 * `limits.json` in the launch directory says what was made, from before it is made: so any later process can read what is
 * real, and remove it. A note in the cache says the same (group-notes.ts): directories go as well, while a kernel is killed.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { GroupNotes } from '../../sys/group-notes.ts';
import { type LimitGroup, LimitGroups } from '../../sys/limit-groups.ts';
import { countsByJail } from '../../sys/process-count.ts';
import { formatBytes } from '../../sys/units.ts';
import type { KernelLimits, LaunchSpec, RealLimits, SharedRegion } from '../driver.ts';
import { isThere, launchThreads } from '../shim/launch-threads.ts';

const MIB = 2 ** 20;
const FILE = 'limits.json';
/** Below what the daemon itself has, where that is less. */
export const MOST_OPEN_FILES = 65_536;

interface Saved {
  limits: KernelLimits;
  groups: readonly LimitGroup[];
  /** Whose memory is in the limit. */
  channels: readonly string[];
  /** And how much of it is, by channel; absent, as what earlier versions wrote: it stays there. */
  regionBytes?: Readonly<Record<string, number>>;
  /** In the limit too, of channels that are gone: for the next. */
  spareBytes?: number;
  /** Of the guest's memory what it does not have now, which is not in the limit; none where it is absent. */
  outBytes?: number;
}

/** What limits follow from. */
export type LimitedSpec = Pick<LaunchSpec, 'memoryBytes'> & Partial<Pick<LaunchSpec, 'regions'>>;

export const channelBytes = ({ regions = [] }: LimitedSpec): number =>
  regions.reduce((sum, { bytes }) => sum + bytes, 0);
export const wholeMib = (bytes: number): number => Math.ceil(bytes / MIB) * MIB;

/**
 * Makes the control groups of a launch and gives what its jail needs: where its first process joins, resource limits by
 * name. `ownCpus`: its threads belong in the pool's groups, which version 2 keeps apart from groups that bound memory.
 * Throws `permission` or `internal`; what was made is then removed by removeLimits().
 */
export function applyLimits(
  spec: Pick<LaunchSpec, 'id' | 'directory'> & Partial<Pick<LaunchSpec, 'regions'>>,
  limits: KernelLimits,
  ownCpus: boolean,
): { joins: string[]; rlimits: Record<string, number> } {
  const host = new LimitGroups();
  const groups = host.plan(spec.id);
  if (groups.length > 0) notes().write(noteName(groups), { directory: spec.directory, groups });
  const regions = spec.regions ?? [];
  const regionBytes = Object.fromEntries(regions.map(({ id, bytes }) => [id, bytes]));
  save(spec.directory, { limits, groups, channels: regions.map(({ id }) => id), regionBytes });
  host.set(groups, limits);
  const joined = groups.filter(({ version }) => version === 1 || !ownCpus);
  const counted = joined.some(({ controllers }) => controllers.includes('pids'));
  return {
    joins: host.joinPaths(joined),
    rlimits: {
      nofile: limits.openFiles,
      data: limits.dataBytes,
      ...(!counted && countsByJail() ? { nproc: limits.processes } : {}),
    },
  };
}

/** undefined for a launch without limits. */
export function realLimits(directory: string): RealLimits | undefined {
  const saved = load(directory);
  return saved && { ...saved.limits, groups: new LimitGroups().read(saved.groups) };
}

/**
 * Lets a running kernel have a channel's memory on top; idempotent. It is not taken back when the channel is: what was
 * touched stays accounted to the kernel. Throws as applyLimits().
 */
export function allowRegion(directory: string, { id, bytes }: Pick<SharedRegion, 'id' | 'bytes'>): void {
  const saved = load(directory);
  if (saved === undefined || saved.channels.includes(id)) return;
  const { regionBytes, spareBytes = 0 } = saved;
  const wanted = wholeMib(bytes);
  const limits = { ...saved.limits, memoryBytes: saved.limits.memoryBytes + Math.max(0, wanted - spareBytes) };
  if (wanted > spareBytes) new LimitGroups().set(saved.groups, limits);
  save(directory, {
    ...{ ...saved, limits, channels: [...saved.channels, id], regionBytes: { ...regionBytes, [id]: wanted } },
    spareBytes: Math.max(0, spareBytes - wanted),
  });
}

/** What a running kernel was allowed for channels that it has no more is for its next ones: it has no more than it had at once. */
export function releaseRegions(directory: string, isThere: (id: string) => boolean): void {
  const saved = load(directory);
  const { regionBytes = {}, spareBytes = 0 } = saved ?? {};
  const gone = Object.entries(regionBytes).filter(([id]) => !isThere(id));
  if (saved === undefined || gone.length === 0) return;
  save(directory, {
    ...saved,
    channels: saved.channels.filter((id) => isThere(id) || regionBytes[id] === undefined),
    regionBytes: Object.fromEntries(Object.entries(regionBytes).filter(([id]) => isThere(id))),
    spareBytes: gone.reduce((sum, [, bytes]) => sum + bytes, spareBytes),
  });
}

/** So much of the guest's memory is out of it, and bounds it no longer. Idempotent. Throws as applyLimits(). */
export function limitToSize(directory: string, outBytes: number): void {
  const saved = load(directory);
  const change = (saved?.outBytes ?? 0) - outBytes;
  if (saved === undefined || change === 0) return;
  const limits = { ...saved.limits, memoryBytes: saved.limits.memoryBytes + change };
  new LimitGroups().set(saved.groups, limits);
  save(directory, { ...saved, limits, outBytes });
}

/** Takes the jail of a kernel back into the groups that it had to leave for those of the pool. Throws as applyLimits(). */
export function rejoinLimits(directory: string): void {
  const groups = load(directory)?.groups.filter(({ version }) => version === 2) ?? [];
  if (groups.length === 0) return;
  const threads = launchThreads(directory);
  const shim = threads[0]?.pid;
  const starts = new Map(threads.map(({ pid, startTime }) => [pid, startTime]));
  const limits = new LimitGroups();
  for (const [pid, startTime] of starts)
    if (pid !== shim && isThere({ pid, tid: pid, startTime })) limits.add(groups, [pid]);
}

/** For people: that the kernel was killed because it used more memory than it may; undefined when it was not. */
export function outOfMemory(directory: string): string | undefined {
  const saved = load(directory);
  if (saved === undefined || new LimitGroups().outOfMemoryKills(saved.groups) === 0) return undefined;
  const { memoryBytes, overheadBytes } = saved.limits;
  const own = formatBytes(memoryBytes - overheadBytes);
  return `killed by the host: it used more than its ${own} and ${formatBytes(overheadBytes)} of overhead`;
}

/** Removes the control groups of a launch whose processes are gone. */
export async function removeLimits(directory: string): Promise<void> {
  const groups = load(directory)?.groups ?? [];
  if (groups.length > 0 && (await new LimitGroups().remove(groups))) notes().remove(noteName(groups));
}

/** Removes groups in which nothing runs of launches whose directory is gone, so that nothing else knows of them. */
export function sweepLaunchGroups(): void {
  const host = new LimitGroups();
  for (const { name, note } of notes().all())
    if (!existsSync(note.directory) && host.removeEmpty(note.groups)) notes().remove(name);
}

const notes = (): GroupNotes<{ directory: string; groups: readonly LimitGroup[] }> => new GroupNotes('launch-groups');
const noteName = ([first]: readonly LimitGroup[]): string => basename(first!.path);

function save(directory: string, saved: Saved): void {
  writeFileSync(join(directory, FILE), JSON.stringify(saved), { mode: 0o600 });
}

function load(directory: string): Saved | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, FILE), 'utf8'));
  } catch {
    return undefined;
  }
}
