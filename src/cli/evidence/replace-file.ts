import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

const { O_WRONLY, O_CREAT, O_EXCL, O_DIRECTORY, O_NOFOLLOW } = constants;
/** From fcntl.h, which Node lacks: also a directory that this user may write to and not list. */
const O_PATH = 0o10000000;

/**
 * A new file that nobody but its owner has ever had open, in place of whatever has that name: who was there before, in /tmp say, may own
 * it or still have it open. It takes the name once `write` has resolved; whatever goes wrong, nothing of it stays, also where somebody
 * exchanges a directory on the way meanwhile.
 */
export async function replaceFile<T>(path: string, write: (file: FileHandle) => Promise<T>): Promise<T> {
  await using directory = await open(dirname(path), O_PATH | O_DIRECTORY);
  const place = `/proc/self/fd/${directory.fd}/${basename(path)}`;
  const begun = `${place}.new`;
  try {
    await rm(begun, { force: true });
    await using file = await open(begun, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    await file.chmod(0o600);
    const result = await write(file);
    await rename(begun, place);
    return result;
  } catch (error) {
    await rm(begun, { force: true });
    throw error;
  }
}
