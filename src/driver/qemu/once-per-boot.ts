/** What is found out about this machine once per boot of it, and kept in a file of the cache. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { hostBootId } from '../../sys/host-boot.ts';
import { isRecord } from './qmp.ts';

/**
 * What is kept in the file `path`, or found now.
 * @param about what else it depends on, as the version of a program
 * @param read gives it out of what was kept, or undefined
 */
export async function oncePerBoot<T extends object>(
  path: string,
  about: string,
  read: (kept: Record<string, unknown>) => T | undefined,
  find: () => Promise<T>,
): Promise<T> {
  const identity = `${about}; host boot ${hostBootId()}`;
  const known = await readKept(path, identity, read);
  if (known !== undefined) return known;
  const found = await find();
  await keep(path, { identity, ...found }).catch(() => {
    // Not kept: the next process finds it again.
  });
  return found;
}

async function readKept<T>(
  path: string,
  identity: string,
  read: (kept: Record<string, unknown>) => T | undefined,
): Promise<T | undefined> {
  try {
    const kept: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isRecord(kept) && kept.identity === identity ? read(kept) : undefined;
  } catch {
    return undefined;
  }
}

async function keep(path: string, value: object): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, JSON.stringify(value));
  await rename(temporary, path);
}
