/**
 * The file that is the memory of a kernel of User Mode Linux, from outside: the kernel itself may make no holes in it, for the same call
 * makes them in memory that is shared with others (docs/shim.md).
 */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { PolykernelError } from '../../sys/errors.ts';
import { makeHole } from '../../sys/memory.ts';

/** In the jail, where a memory file system of its own is. */
const DIRECTORY = '/dev/shm';
/** It never had a name, or has lost it. */
const NAME = new RegExp(`^${DIRECTORY}/\\S{1,32} \\(deleted\\)$`);

export class UmlRam implements Disposable {
  readonly #fd: number;

  /**
   * `pid`: the kernel's main process. What its descriptors are called is its own word, so the file must be on the file system that the
   * host made for it alone. Throws `unavailable` where there is none.
   */
  constructor(pid: number, proc = '/proc') {
    const fd = openRam(`${proc}/${pid}`);
    if (fd === undefined)
      throw new PolykernelError('unavailable', 'the memory of the kernel is not to be found among its open files');
    this.#fd = fd;
  }

  /** Gives the host back what is behind a place; when it is touched again it is zeros. */
  free(offset: number, bytes: number): void {
    makeHole(this.#fd, offset, bytes);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function openRam(process: string): number | undefined {
  const device = ownDevice(readFileSync(`${process}/mountinfo`, 'utf8'));
  if (device === undefined) return undefined;
  for (const entry of readdirSync(`${process}/fd`)) {
    const path = `${process}/fd/${entry}`;
    try {
      if (!NAME.test(readlinkSync(path))) continue;
      const fd = openSync(path, 'r+');
      if (fstatSync(fd).dev === device) return fd;
      closeSync(fd);
    } catch {
      // Closed meanwhile.
    }
  }
  return undefined;
}

/** Of the memory file system at DIRECTORY, as the host's kernel tells it of the process. */
export function ownDevice(mountinfo: string): number | undefined {
  const found = mountinfo
    .split('\n')
    .map((line) => /^\d+ \d+ (\d+):(\d+) \S+ (\S+) .* - (\S+) /.exec(line))
    .findLast((match) => match?.[3] === DIRECTORY);
  if (found?.[4] !== 'tmpfs') return undefined;
  const [major, minor] = [Number(found[1]), Number(found[2])];
  // As glibc's makedev.
  return ((major & 0xfff) << 8) | (minor & 0xff) | ((minor & ~0xff) << 12);
}
