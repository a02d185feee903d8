/**
 * An initramfs of the user's own: its archive goes in front of the agent's, so that the kernel finds in it what it looks for early
 * (tables of ACPI, microcode, firmware), and the agent stays what is started. initramfs-buffer-format of Linux: archives, packed or
 * not, one behind the other, each at a multiple of 4.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Source } from '../image/contract.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import { changed, checkSource } from './source.ts';

/** It is in the guest's memory twice while it boots. */
const MOST_BYTES = 512 * 2 ** 20;
const ALIGNED = 4;

/**
 * Writes both to `target`. Throws `conflict` when the file is another than was given, `invalid` for one that is none or too long,
 * `internal` when the disk is full.
 */
export async function joinInitrd(source: Source, agents: string, target: string): Promise<string> {
  try {
    await checkSource(source, 'initrd');
    await using given = await open(source.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const status = await given.stat({ bigint: true });
    if (String(status.ino) !== source.inode) throw changed('initrd', source.path, 'is another file now');
    const bytes = Number(status.size);
    if (!status.isFile() || bytes > MOST_BYTES)
      throw unfit(source.path, status.isFile() ? `has ${formatBytes(bytes)}` : 'is no file');
    await using own = await open(agents, 'r');
    await using joined = await open(target, 'wx', 0o600);
    // Read by the ids of its guest, from a directory that nobody else enters.
    await joined.chmod(0o644);
    const copied = await append(given, joined, bytes);
    await joined.write(Buffer.alloc((ALIGNED - (copied % ALIGNED)) % ALIGNED));
    await append(own, joined);
    return target;
  } catch (error) {
    throw asPolykernelError(error, 'putting the initramfs together');
  }
}

/** At most `most` bytes: it may grow while it is read. */
async function append(from: FileHandle, to: FileHandle, most = Number.POSITIVE_INFINITY): Promise<number> {
  let copied = 0;
  await pipeline(
    from.createReadStream({ autoClose: false, start: 0, end: most === 0 ? 0 : most - 1 }),
    async (parts: AsyncIterable<Buffer>) => {
      for await (const part of parts) {
        await to.appendFile(part);
        copied += part.length;
      }
    },
  );
  return copied;
}

const unfit = (path: string, how: string): PolykernelError =>
  new PolykernelError('invalid', `initrd: ${path} ${how}`, {
    field: 'initrd',
    value: path,
    hint: `Give a cpio archive of at most ${formatBytes(MOST_BYTES)}, packed or not.`,
  });
