/** Files that nobody has named: they count because they lie where such a file is looked for. */
import { closeSync, constants, createReadStream, fstatSync, openSync, type ReadStream, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { PolykernelError } from '../../sys/errors.ts';

const OTHERS_MAKE_FILES = 0o002;

/**
 * Opens one for reading. Where everybody may make files, such as /tmp, it counts only if it is root's or the caller's own, and no link; it
 * is a file or nothing is waited for. Throws `permission` or `invalid` naming it, and as open(2) does. @param name what is to be done
 * so that it counts all the same
 */
export function openUnnamed(path: string, option: string, name: string): ReadStream {
  const isShared = (statSync(dirname(path)).mode & OTHERS_MAKE_FILES) !== 0;
  const fd = open(path, isShared, option, name);
  const facts = fstatSync(fd);
  const refuse = (error: PolykernelError) => {
    closeSync(fd);
    throw error;
  };
  if (isShared && facts.uid !== 0 && facts.uid !== process.getuid?.())
    refuse(notOwn(path, `is of user ${facts.uid}`, option, name));
  if (!facts.isFile() && !facts.isDirectory())
    refuse(new PolykernelError('invalid', `${path} is no file`, { field: option, value: path, hint: name }));
  return createReadStream(path, { fd });
}

function open(path: string, isShared: boolean, option: string, name: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | (isShared ? constants.O_NOFOLLOW : 0));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ELOOP' || !isShared) throw error;
    throw notOwn(path, 'is a link', option, name);
  }
}

const notOwn = (path: string, is: string, option: string, name: string): PolykernelError =>
  new PolykernelError(
    'permission',
    `${path} ${is}, in a directory in which everybody may make files, and nobody has named it`,
    { field: option, value: path, hint: name },
  );
