/**
 * Control groups for one run of a tool (confined-tool.ts), over all it starts: made where this user may make some, and
 * removed when it is over. Which ones is written down in the cache before they are made, with the process that made them:
 * when that was killed, whoever comes next removes them.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { asPolykernelError } from './errors.ts';
import { GroupNotes } from './group-notes.ts';
import { type GroupLimits, type LimitGroup, LimitGroups } from './limit-groups.ts';
import { processStartTime } from './process.ts';

export interface ToolGroups {
  /** Open descriptors of files: a process that writes 0 there joins. */
  joins: readonly number[];
  /** Once the tool was started, which has them too. */
  closeJoins(): void;
  /** Whether the host has killed a process of it because they were full. */
  wasShort(): boolean;
  /** Once nothing of it runs. */
  remove(): Promise<void>;
}

const notes = (): GroupNotes<LimitGroup[]> => new GroupNotes('tool-groups');

/** Makes the groups of one run; none where there can be none. Throws `permission` or `internal`, naming the file. */
export function makeToolGroups(limits: GroupLimits): ToolGroups {
  const host = new LimitGroups();
  const id = `tool-${randomBytes(8).toString('hex')}`;
  const groups = host.plan(id);
  if (groups.length === 0) return { joins: [], closeJoins: () => {}, wasShort: () => false, remove: async () => {} };
  for (const left of abandoned()) if (host.removeEmpty(left.note)) notes().remove(left.name);
  const name = `${process.pid}-${processStartTime(process.pid)}-${id}`;
  notes().write(name, groups);
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
    if (host.removeEmpty(groups)) notes().remove(name);
    throw asPolykernelError(error, `joining the control groups of ${id}`);
  }
  const remove = async () => {
    closeJoins();
    if (await host.remove(groups)) notes().remove(name);
  };
  const wasShort = () => host.outOfMemoryKills(groups) > 0;
  return { joins, closeJoins, wasShort, remove };
}

/** Removes the groups that processes left behind which were killed. What is still in use after a while stays for later. */
export async function sweepToolGroups(): Promise<void> {
  const host = new LimitGroups();
  for (const { name, note } of abandoned()) if (await host.remove(note)) notes().remove(name);
}

const abandoned = () =>
  notes()
    .all()
    .filter(({ name }) => {
      const [, pid, start] = /^(\d+)-(\d+)-/.exec(name) ?? [];
      return processStartTime(Number(pid)) !== Number(start);
    });
