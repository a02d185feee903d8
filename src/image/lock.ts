/**
 * One process at a time changes the store. The lock is an exclusive SQLite transaction on an empty database: a POSIX
 * lock underneath, which the kernel drops when its holder dies, so there is nothing stale to detect.
 */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { asPolykernelError } from '../sys/errors.ts';

const RETRY_MS = 50;
const SQLITE_BUSY = 5;

export interface LockOptions {
  /** Called once when the lock is held by somebody else. */
  onWait?: () => void;
  signal?: AbortSignal | undefined;
}

/** Runs `action`, which must have a deadline of its own, while holding the lock file at `path`, waiting for it as long as it takes. */
export async function withLock<T>(path: string, action: () => Promise<T>, options: LockOptions = {}): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  // Loaded late: reading images needs no lock, and so no SQLite.
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    for (let waited = false; ; waited = true) {
      options.signal?.throwIfAborted();
      try {
        database.exec('BEGIN EXCLUSIVE');
        break;
      } catch (error) {
        if ((error as { errcode?: number }).errcode !== SQLITE_BUSY)
          throw asPolykernelError(error, `taking the lock ${path}`);
      }
      if (!waited) options.onWait?.();
      await delay(RETRY_MS, undefined, { signal: options.signal });
    }
    return await action();
  } finally {
    database.close();
  }
}
