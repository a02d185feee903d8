/** The directory of an instance, and what a driver is given to start its kernel. */
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Driver, LaunchSpec } from '../driver/index.ts';
import type { RootSource, Source } from '../image/contract.ts';
import { asPolykernelError } from '../sys/errors.ts';
import type { Identity } from '../sys/identity.ts';
import { closedOnTheWay, liesIn } from '../sys/others.ts';
import { homeOf } from '../sys/passwd.ts';
import type { Layout } from '../sys/paths.ts';
import { patiently } from '../sys/patience.ts';
import { removeTree } from '../sys/remove-tree.ts';
import { hostPlacement, type InstanceRecord } from './contract.ts';
import { kernelWords } from './kernel-words.ts';
import { noteLaunch } from './leftovers.ts';
import { kernelSize, machineSize, sizeOf } from './size.ts';

/** As much of the id as names the directory: sockets lie in it, and their paths are limited to 107 bytes. */
const ID_DIGITS = 12;

export const directoryName = (id: string): string => id.slice(0, ID_DIGITS);
export const instanceDirectory = (paths: Layout, id: string): string => paths.instance(directoryName(id));
export const kernelDirectory = (paths: Layout, id: string): string => join(instanceDirectory(paths, id), 'kernel');
export const workloadLogPath = (paths: Layout, id: string): string => join(instanceDirectory(paths, id), 'log');

/**
 * Makes an empty launch directory. What the console of the run before said is kept beside it. Rejects with `internal` when
 * it cannot be made.
 */
export async function renewKernelDirectory(paths: Layout, id: string, consoleLog: string): Promise<string> {
  const directory = kernelDirectory(paths, id);
  try {
    if (existsSync(directory)) {
      if (existsSync(consoleLog)) renameSync(consoleLog, join(instanceDirectory(paths, id), 'console.previous.log'));
      await removeTree(directory);
    }
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return directory;
  } catch (error) {
    throw asPolykernelError(error, 'preparing the launch directory');
  }
}

/** What an instance gets for one run besides what its record says. */
export type Provided = Pick<
  LaunchSpec,
  'image' | 'root' | 'housekeepingCpus' | 'homes' | 'regions' | 'network' | 'devices'
>;

/**
 * The caller's working directory is his to show, wherever it lies; but for one that is closed to the kernel: that would let
 * it in from behind. Whether it is still the same is pk-cell's to see.
 */
async function shown({ sources, identity }: InstanceRecord, root: RootSource): Promise<Source[]> {
  const source = sources?.shown;
  if (!source) return [];
  // These are the guest's own.
  if (liesIn(source.path, ['/proc', '/sys', '/dev', '/run'])) return [];
  const exists = () =>
    access(source.path).then(
      () => true,
      () => false,
    );
  if (!(await patiently(source.path, exists))) return [];
  return (await closedTo(identity!, root, source.path)) === undefined ? [source] : [];
}

/**
 * Directories that the kernel may not enter, and in which volumes are to be mounted or programs keep their settings: hidden, so
 * that an empty one takes their place.
 */
async function closedAbove({ spec, identity }: InstanceRecord, root: RootSource): Promise<string[]> {
  if (root.kind !== 'host') return [];
  const entered = spec.volumes.map(({ target }) => dirname(target));
  const HOME = spec.env.HOME ?? homeOf(spec.user);
  if (HOME?.startsWith('/')) entered.push(HOME);
  const closed = await Promise.all(entered.map((path) => closedTo(identity!, root, path)));
  return closed.filter((path) => path !== undefined);
}

/** The directory on the way to a path of the machine's files that keeps the kernel out. */
async function closedTo(identity: Identity, root: RootSource, path: string): Promise<string | undefined> {
  if (identity.kind !== 'range') return await closedOnTheWay(path, 'this user');
  return root.kind === 'host' && root.mapped ? undefined : await closedOnTheWay(path, 'everybody');
}

export interface Unmapped {
  path: string;
  readOnly: boolean;
  reason: string;
}

/** What pk-cell wrote of trees whose owners could not be mapped; none where there was no launch. */
export function unmappedOf(paths: Layout, id: string): Unmapped[] {
  try {
    // All of it: a volume comes last, after what may be many mounts of the machine's files.
    return parseUnmapped(readFileSync(join(kernelDirectory(paths, id), 'unmapped'), 'latin1'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw asPolykernelError(error, 'reading which owners could not be mapped');
  }
}

/** Lines of `NAME ro|rw PATH: REASON`. */
export function parseUnmapped(text: string): Unmapped[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\S+ (ro|rw) (.{1,4096}): ([^:]{1,200})$/s.exec(line);
    return match === null ? [] : [{ readOnly: match[1] === 'ro', path: match[2]!, reason: match[3]! }];
  });
}

/** Everything a driver needs for the next run of `record`, whose identity and sources are there. Rejects with `internal` when the directory cannot be made. */
export async function prepareLaunch(
  paths: Layout,
  directory: string,
  record: InstanceRecord,
  driver: Driver,
  provided: Provided,
): Promise<LaunchSpec> {
  const { spec, id } = record;
  try {
    const launch: LaunchSpec = {
      id,
      name: spec.name,
      hostname: spec.hostname,
      directory,
      ...machineSize(spec),
      ...(spec.elastic !== null && {
        size: {
          ...kernelSize(sizeOf(record)),
          memoryChanges: spec.elastic.memoryBytes !== null,
          leastMemoryBytes: spec.elastic.memoryBytes?.min ?? spec.memoryBytes,
        },
      }),
      ...provided,
      volumes: spec.volumes.map((volume, index) => ({ ...volume, seen: record.sources!.volumes[index]! })),
      identity: record.identity!,
      placement: hostPlacement(record),
      cold: spec.cold,
      ...(spec.append !== null && { append: kernelWords(spec.append) }),
      readyTimeoutMs: spec.readyTimeoutMs,
      hiddenPaths: [paths.home, ...(await closedAbove(record, provided.root))],
      shownPaths: await shown(record, provided.root),
    };
    noteLaunch(instanceDirectory(paths, id), driver.traits.name, launch);
    return launch;
  } catch (error) {
    throw asPolykernelError(error, 'preparing the launch directory');
  }
}
