/**
 * Who uses an image of the cache has a lease of it: flock(2) on a file that stands for the content. Such a lock belongs to an
 * open file, so that daemon and pk-shim share one, and the host's kernel drops it with the last of them: there is nothing
 * to sweep. The file is not the image itself, which a guest's kernel has open and could lock, and is never removed.
 */
import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { PolykernelError } from '../sys/errors.ts';
import { run } from '../sys/process.ts';
import { toolPath } from '../sys/tools.ts';

/** With which flock(1) ends when it was not to wait. */
const IS_HELD = 1;

/**
 * A lease of the content in `store`: it lasts until the descriptor is closed here and wherever it was inherited.
 * Rejects with `unavailable` (no flock), `internal`, or the reason of `signal`.
 */
export async function takeLease(store: string, hash: string, signal?: AbortSignal): Promise<number> {
  const file = open(store, hash);
  try {
    // Whoever evicts holds it as long as it takes to remove one file.
    await lock(file, ['--shared'], signal);
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/** Runs `action` while nobody can take a lease of the content; false, and it is not run, when somebody has one. */
export async function whileUnleased(store: string, hash: string, action: () => Promise<void>): Promise<boolean> {
  const file = open(store, hash);
  try {
    if (!(await lock(file, ['--exclusive', '--nonblock']))) return false;
    await action();
    return true;
  } finally {
    closeSync(file);
  }
}

function open(store: string, hash: string): number {
  const directory = join(store, 'leases');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return openSync(join(directory, hash), constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
}

/** Node cannot lock; a program that inherits the open file can, and the lock stays with us when it ends. */
async function lock(file: number, options: readonly string[], signal?: AbortSignal): Promise<boolean> {
  const { path, env } = toolPath('flock');
  const { code, stderr } = await run([path, ...options, '3'], { fds: [file], env, ...(signal && { signal }) });
  if (code === 0) return true;
  if (code === IS_HELD && options.includes('--nonblock')) return false;
  throw new PolykernelError('internal', `an image of the cache cannot be locked: ${stderr.trim() || `status ${code}`}`);
}
