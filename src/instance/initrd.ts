/**
 * An initramfs of the user's own: its archive goes in front of the agent's, so that the kernel finds in it what it looks for early
 * (tables of ACPI, microcode, firmware), and the agent stays what is started. initramfs-buffer-format of Linux: archives, packed or
 * not, one behind the other, each at a multiple of 4.
 */
import { constants, readlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Source } from '../image/contract.ts';
import { asPolykernelError } from '../sys/errors.ts';
import { patienceWith } from '../sys/patience.ts';
import { formatBytes } from '../sys/units.ts';
import { MOST_BYTES, unfit } from './initrd-file.ts';
import { changed, checkSource } from './source.ts';

const ALIGNED = 4;
const PART_BYTES = 2 ** 20;

/**
 * Writes both to `target`. Throws `conflict` when the file is another than was given, `invalid` for one that is none or too long,
 * `internal` when the disk is full, `unavailable` when the file system of the file does not answer: `ask` bounds the wait.
 */
export async function joinInitrd(
  source: Source,
  agents: string,
  target: string,
  ask = patienceWith(source.path),
): Promise<string> {
  try {
    await checkSource(source, 'initrd');
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const given = await openInTime(source.path, flags, ask);
    try {
      const status = await ask(() => given.stat({ bigint: true }));
      // The path is that of the open file: a link that was put on the way since it was looked at does not show in it.
      const path = readlinkSync(`/proc/self/fd/${given.fd}`);
      if (String(status.ino) !== source.inode || path !== source.path)
        throw changed('initrd', source.path, 'is another file now');
      const bytes = Number(status.size);
      if (!status.isFile() || bytes > MOST_BYTES)
        throw unfit(source.path, status.isFile() ? `has ${formatBytes(bytes)}` : 'is no file');
      await using own = await open(agents, 'r');
      await using joined = await open(target, 'wx', 0o600);
      // Read by the ids of its guest, from a directory that nobody else enters.
      await joined.chmod(0o644);
      const copied = await append(given, joined, bytes, ask);
      await joined.write(Buffer.alloc((ALIGNED - (copied % ALIGNED)) % ALIGNED));
      await append(own, joined);
    } finally {
      // One that is silent has it closed whenever it answers.
      await ask(() => given.close()).catch(() => void given.close().catch(() => {}));
    }
    return target;
  } catch (error) {
    throw asPolykernelError(error, 'putting the initramfs together');
  }
}

type Ask = ReturnType<typeof patienceWith>;

/** What is open too late for anybody is closed. */
async function openInTime(path: string, flags: number, ask: Ask): Promise<FileHandle> {
  const opening = Promise.withResolvers<FileHandle>();
  const look = () => {
    open(path, flags).then(opening.resolve, opening.reject);
    return opening.promise;
  };
  return await ask(look).catch((error) => {
    opening.promise.then(
      (late) => late.close(),
      () => {},
    );
    throw error;
  });
}

/** At most `most` bytes: it may grow while it is read. */
async function append(
  from: FileHandle,
  to: FileHandle,
  most = Number.POSITIVE_INFINITY,
  ask: Ask = (look) => look(),
): Promise<number> {
  let copied = 0;
  while (copied < most) {
    const part = Buffer.allocUnsafe(Math.min(PART_BYTES, most - copied));
    const { bytesRead } = await ask(() => from.read(part, 0, part.length, copied));
    if (bytesRead === 0) break;
    await to.appendFile(part.subarray(0, bytesRead));
    copied += bytesRead;
  }
  return copied;
}
