/**
 * Before a daemon takes over from one of another version, which serves meanwhile: can it read what that one wrote? The database
 * is locked, so a copy of its files is looked at, which costs the running daemon nothing and works with every version.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Store } from '../core/store.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { type Layout, layout } from '../sys/paths.ts';
import { LOOKED_AT } from '../sys/state-copies.ts';
import { unreadable } from './tables.ts';

/** Copies that a write of the running daemon came between. */
const MOST_TRIES = 20;

/**
 * Throws `unavailable` when a newer version wrote it, `conflict` naming what this one cannot read of it, and what reading throws.
 */
export function checkState(paths: Layout): void {
  if (!existsSync(paths.database)) return;
  const directory = mkdtempSync(join(paths.home, LOOKED_AT));
  try {
    const copy = layout(directory);
    for (let tries = 1; ; tries += 1) {
      const isWhole = copyDatabase(paths.database, copy.database);
      try {
        checkCopy(copy, paths);
        break;
      } catch (error) {
        if (isWhole || tries === MOST_TRIES) throw error;
      }
    }
  } catch (error) {
    throw asPolykernelError(error, `looking at the state in ${paths.home}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Whether nothing was written meanwhile. */
function copyDatabase(from: string, to: string): boolean {
  const files = ['', '-wal'].filter((suffix) => existsSync(from + suffix));
  for (const suffix of ['', '-wal']) rmSync(to + suffix, { force: true });
  const look = () =>
    files.map((suffix) => {
      const { size, mtimeNs } = statSync(from + suffix, { bigint: true });
      return `${size} ${mtimeNs}`;
    });
  const before = look();
  for (const suffix of files) copyFileSync(from + suffix, to + suffix);
  return before.join() === look().join();
}

function checkCopy(copy: Layout, { home, database }: Layout): void {
  let store: Store | undefined;
  try {
    store = Store.open(copy);
    const lost = unreadable(store);
    if (lost.length === 0) return;
    throw new PolykernelError('conflict', `this version cannot read ${lost.join(', ')} in ${home}`, {
      field: 'from',
      hint: 'What cannot be read would be ended. Remove it first, or stay with the version that runs.',
    });
  } catch (error) {
    // People know the database by its own place.
    if (!(error instanceof PolykernelError)) throw error;
    const { code, field, value, hint, cause } = error;
    throw new PolykernelError(code, error.message.replaceAll(copy.database, database), { field, value, hint, cause });
  } finally {
    store?.close(false);
  }
}
