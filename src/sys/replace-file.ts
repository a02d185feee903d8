/** Small files that others read while they are replaced, and what a writer that was killed left of them. */
import { readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const UNFINISHED = /\.\d+~$/;
/** No writer takes as long; whether it lives cannot be seen from another container. */
const LEFT_MS = 60_000;

/** All of `text` for this user alone, or what was there before; several processes may do it at once. Throws an errno error. */
export function replaceFile(path: string, text: string): void {
  const unfinished = `${path}.${process.pid}~`;
  writeFileSync(unfinished, text, { mode: 0o600 });
  renameSync(unfinished, path);
}

/** The names in `directory` but for those that replaceFile() writes to; what it was killed at goes after a minute. Throws an errno error. */
export function finishedFiles(directory: string): string[] {
  return readdirSync(directory).filter((name) => {
    if (!UNFINISHED.test(name)) return true;
    const path = join(directory, name);
    const written = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY;
    try {
      if (Date.now() - written > LEFT_MS) rmSync(path, { force: true });
    } catch {
      // Nothing can be removed there now.
    }
    return false;
  });
}
