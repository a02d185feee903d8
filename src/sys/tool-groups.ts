/**
 * Control groups for one run of a tool (confined-tool.ts), over all it starts: made where this user may make some, and
 * removed when it is over. Which ones is written down in the cache before they are made, with the process that made them:
 * when that was killed, whoever comes next removes them.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asPolykernelError } from './errors.ts';
import { type GroupLimits, type LimitGroup, LimitGroups } from './limit-groups.ts';
import { cacheDirectory } from './paths.ts';
import { processStartTime } from './process.ts';

export interface ToolGroups {
  /** Open descriptors of files: a process that writes 0 there joins. */
  joins: readonly number[];
  /** Once the tool was started, which has them too. */
  closeJoins(): void;
  /** Once nothing of it runs. */
  remove(): Promise<void>;
}

const recordsDirectory = (): string => join(cacheDirectory(), 'tool-groups');

/** Makes the groups of one run; none where there can be none. Throws `permission` or `internal`, naming the file. */
export function makeToolGroups(limits: GroupLimits): ToolGroups {
  const host = new LimitGroups();
  const id = `tool-${randomBytes(8).toString('hex')}`;
  const groups = host.plan(id);
  if (groups.length === 0) return { joins: [], closeJoins: () => {}, remove: async () => {} };
  for (const left of abandoned()) if (host.removeEmpty(left.groups)) rmSync(left.file, { force: true });
  const file = join(recordsDirectory(), `${process.pid}-${processStartTime(process.pid)}-${id}`);
  mkdirSync(recordsDirectory(), { recursive: true, mode: 0o700 });
  writeFileSync(file, JSON.stringify(groups), { mode: 0o600 });
  const joins: number[] = [];
  const closeJoins = () => {
    for (const fd of joins.splice(0)) closeSync(fd);
  };
  try {
    host.set(groups, limits);
    for (const { version, path } of groups)
      joins.push(openSync(join(path, version === 1 ? 'tasks' : 'cgroup.procs'), constants.O_WRONLY));
  } catch (error) {
    closeJoins();
    if (host.removeEmpty(groups)) rmSync(file, { force: true });
    throw asPolykernelError(error, `joining the control groups of ${id}`);
  }
  const remove = async () => {
    closeJoins();
    if (await host.remove(groups)) rmSync(file, { force: true });
  };
  return { joins, closeJoins, remove };
}

/** Removes the groups that processes left behind which were killed. What is still in use after a while stays for later. */
export async function sweepToolGroups(): Promise<void> {
  const host = new LimitGroups();
  for (const { file, groups } of abandoned()) if (await host.remove(groups)) rmSync(file, { force: true });
}

/** By the names of the records: their content may not be there yet. */
function abandoned(): { file: string; groups: LimitGroup[] }[] {
  return list(recordsDirectory()).flatMap((name) => {
    const [, pid, start] = /^(\d+)-(\d+)-/.exec(name) ?? [];
    if (processStartTime(Number(pid)) === Number(start)) return [];
    const file = join(recordsDirectory(), name);
    return [{ file, groups: read(file) }];
  });
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** None of one that was not written to its end: these were not made. */
function read(file: string): LimitGroup[] {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return [];
  }
}
