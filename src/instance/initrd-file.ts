/** Which files can be an initramfs: by how they begin, which is all that is known of them before a kernel unpacks them. */
import { PolykernelError } from '../sys/errors.ts';
import { closePatiently, openPatiently } from '../sys/patience.ts';
import { formatBytes } from '../sys/units.ts';

/** It is in the guest's memory twice while it boots. */
export const MOST_BYTES = 512 * 2 ** 20;

/** cpio in its two new forms, padding before it, and what Linux can unpack: gzip, bzip2, lzma, xz, lzo, lz4, zstd. */
const BEGINNINGS = [
  ...['070701', '070702'].map((text) => Buffer.from(text).toString('hex')),
  ...['00', '1f8b', '1f9e', '425a', '5d00', 'fd377a', '894c5a', '0221', '28b5'],
];
const HEAD_BYTES = 6;

/** What is wrong with it, behind its path; undefined: nothing to be seen. Rejects when it cannot be read. */
export async function initrdProblem(path: string): Promise<string | undefined> {
  const file = await openPatiently(path, HEAD_BYTES);
  if (file === undefined) return 'is no file';
  await closePatiently(path, file.fd);
  const begins = file.head.toString('hex');
  if (begins === '' || BEGINNINGS.some((each) => begins.startsWith(each))) return undefined;
  return 'is no cpio archive, packed or not';
}

export const unfit = (path: string, how: string): PolykernelError =>
  new PolykernelError('invalid', `initrd: ${path} ${how}`, {
    field: 'initrd',
    value: path,
    hint: `Give a cpio archive of at most ${formatBytes(MOST_BYTES)}, packed or not.`,
  });
