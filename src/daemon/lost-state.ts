/**
 * A state directory that somebody removes takes along all by which its kernels could be reached: socket, database, launch directories.
 * As PostgreSQL does without its own, the daemon then ends all that is its own, and itself: nobody could ever again.
 */
import { existsSync, fstatSync, openSync, statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { signalProcess } from '../core/process-id.ts';
import { sweepLaunchGroups } from '../driver/jail/limits.ts';
import { oursNaming } from '../driver/shim/process.ts';
import { instanceDirectory } from '../instance/launch.ts';
import type { Supervisor } from '../instance/supervisor.ts';
import type { Layout } from '../sys/paths.ts';

const LOOK_MS = 2_000;
/** Those of the kit for processes that outlive the daemon, HAProxy, and the outer ones of jails. */
const PROGRAMS = /(?:^|\/)(?:pk-(?:shim|cell|netns|forward|ring)|bwrap|haproxy)$/;

/**
 * Resolves when the state directory is proven to be removed: the file by which this daemon holds it has no name any more, and the
 * database is not there, or another one is. A directory that a mount hides, or a file server keeps back, is not. Keeps no program alive.
 */
export async function untilStateIsLost({ lock, database }: Layout, lookMs = LOOK_MS): Promise<void> {
  const held = openSync(lock, 'r');
  const inode = () => statSync(database, { throwIfNoEntry: false })?.ino;
  const ours = inode();
  while (fstatSync(held).nlink > 0 || inode() === ours) await pause(lookMs, undefined, { ref: false });
}

/**
 * Ends what runs of a state directory that is gone, and gives back what its instances own. What another daemon has at the same path by
 * now is left alone. `complain`: of what does not go.
 */
export async function endLost(
  paths: Layout,
  supervisor: Pick<Supervisor, 'list' | 'remove'>,
  complain: (name: string, error: unknown) => void,
): Promise<void> {
  const instances = supervisor.list();
  const end = (directory: string) => {
    for (const id of oursNaming(`${directory}/`, PROGRAMS)) signalProcess(id, 'SIGKILL');
  };
  for (const { record } of instances) end(instanceDirectory(paths, record.id));
  // In the same turn: so nothing is started again because it has ended.
  await Promise.all(instances.map(({ name }) => supervisor.remove(name, true).catch((error) => complain(name, error))));
  if (!existsSync(paths.database)) end(paths.home);
  sweepLaunchGroups();
}
