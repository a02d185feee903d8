/** Kernels that go on from a template's: which may, and what their QEMU is started with. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PolykernelError } from '../../sys/errors.ts';
import type { LaunchSpec } from '../driver.ts';
import { memoryNodes } from '../shim/placement.ts';
import { connectShim } from '../shim/shim.ts';
import { addCard } from './card.ts';
import { JAIL_RAM, JAIL_STATE } from './command.ts';
import { preload, type QemuLaunch, STATE_FD } from './launch.ts';
import { loadState } from './migration.ts';
import { Qmp } from './qmp.ts';
import type { Template } from './template.ts';

/** A sound clone answers within a second even on a loaded machine; one that does not is broken. */
export const CLONE_DEADLINE_MS = 20_000;
/** In the launch directory of a clone: the key of its template. */
const CLONE_MARK = 'template';

/** Leaves word in a launch directory of what its kernel was made of. */
export const markClone = (directory: string, { key }: Template): Promise<void> =>
  writeFile(join(directory, CLONE_MARK), key);

export const isClone = (directory: string): boolean => existsSync(join(directory, CLONE_MARK));

/** A clone's memory is a view of the template's: of ordinary pages, on whichever node they came to lie. */
export function canClone({ append = [], initramfs, cold, placement, devices = [] }: LaunchSpec): boolean {
  // What the kernel is told at its boot a template has not been told.
  if (append.length > 0 || initramfs !== undefined) return false;
  // A template has no functions. Its clones can be given some once they run, when all of their memory becomes their own.
  if (cold || devices.length > 0 || placement?.hugePageBytes) return false;
  return placement === undefined || placement.memory.length === 0 || memoryNodes().length === 1;
}

/** Whether a clone failed in a way that another clone of the same template would fail, too. */
export function isBrokenClone(error: unknown): error is PolykernelError {
  return error instanceof PolykernelError && ['kernel-died', 'panic', 'not-ready', 'protocol'].includes(error.code);
}

/** What QEMU needs in order to start as a clone. */
export function cloneParts({ ram, state }: Template): Pick<QemuLaunch, 'binds' | 'env' | 'opened'> {
  const { binds, env } = preload();
  const files: QemuLaunch['binds'] = [
    { source: ram, target: JAIL_RAM, access: 'read' },
    { source: state, target: JAIL_STATE, access: 'read' },
  ];
  return { binds: [...files, ...binds], env, opened: { fd: STATE_FD, path: JAIL_STATE } };
}

/** Lets a clone read its state from the descriptor it has inherited, once it has all that its template had. */
export async function loadClone({
  directory,
  network,
  readyTimeoutMs,
}: Pick<LaunchSpec, 'directory' | 'network' | 'readyTimeoutMs'>): Promise<void> {
  // Its answer to that is the end of its own start.
  const begun = { deadlineMs: readyTimeoutMs };
  const monitor = await Qmp.open(await connectShim(directory, 'monitor'), randomBytes(4).toString('hex'), begun);
  try {
    if (network !== null) await addCard(monitor, directory, network);
    await loadState(monitor, `fd:${STATE_FD}`);
  } finally {
    monitor.close();
  }
}
