/** The caller's working directory, which may be gone. */
import { isAbsolute, resolve } from 'node:path';
import { PolykernelError } from '../../sys/errors.ts';

/** undefined where it was removed, or may not be known. */
export function callerDirectory(): string | undefined {
  try {
    return process.cwd();
  } catch {
    return undefined;
  }
}

/** `path` as seen from `directory`. Throws `not-found` for a relative one where that is gone. */
export function pathFrom(directory: string | undefined, path: string, field: string): string {
  if (directory !== undefined || isAbsolute(path)) return resolve(directory ?? '/', path);
  throw new PolykernelError('not-found', `${field}: ${path} is relative, and the working directory is gone`, {
    field,
    value: path,
    hint: 'Give an absolute path, or cd to a directory that exists.',
  });
}
