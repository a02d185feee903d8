/** Files of sysfs, of this machine or of a snapshot that another made. */
import { closeSync, constants, lstatSync, openSync, readSync } from 'node:fs';

const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW, O_NOCTTY } = constants;

/**
 * The kernel has regular files here. What another made in a snapshot may be a FIFO that nobody writes, or lead to a device, where opening
 * it alone does something: undefined, as for what is not there. A directory does not harm: reading it fails. Throws as open(2) does.
 */
export function openAttribute(path: string): number | undefined {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined || !(status.isFile() || status.isDirectory())) return undefined;
  return openSync(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
}

const attribute = Buffer.allocUnsafeSlow(4096);

/** Its first `most` bytes, at most 4096, which the kernel gives in one piece, without white space at the ends; undefined when it cannot be read. */
export function readAttribute(path: string, most = 64): string | undefined {
  let fd: number | undefined;
  try {
    fd = openAttribute(path);
    return fd === undefined
      ? undefined
      : attribute.toString('latin1', 0, readSync(fd, attribute, 0, most, null)).trim();
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
