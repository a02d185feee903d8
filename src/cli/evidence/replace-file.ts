import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;

/**
 * A new file that nobody but its owner has ever had open, in place of whatever has that name: who was there before, in /tmp say, may own
 * it or still have it open. It takes the name once `write` has resolved; whatever goes wrong, nothing of it stays.
 */
export async function replaceFile<T>(path: string, write: (file: FileHandle) => Promise<T>): Promise<T> {
  const begun = `${path}.new`;
  try {
    await rm(begun, { force: true });
    await using file = await open(begun, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    await file.chmod(0o600);
    const result = await write(file);
    await rename(begun, path);
    return result;
  } catch (error) {
    await rm(begun, { force: true });
    throw error;
  }
}
