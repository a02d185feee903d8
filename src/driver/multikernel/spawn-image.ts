/**
 * What is loaded into an instance. The host kernel's loader may be left with a dangling image by a file that it cannot take, so the
 * kernel is looked at first: an uncompressed x86-64 vmlinux of the multikernel patches has a note by which the host finds its entry.
 */
import { closeSync } from 'node:fs';
import { readElf } from '../../image/elf.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { openRegular, readerOf } from '../../sys/read-at.ts';

const X86_64 = 62;

/** Throws `invalid` for a file that is no kernel with the patches. */
export function checkSpawnKernel(path: string): void {
  const fd = openRegular(path);
  if (fd === undefined) throw invalid('it is not a regular file');
  try {
    const elf = readElf(readerOf(fd));
    if (elf === undefined) throw invalid('it is no 64-bit ELF file');
    if (elf.machine !== X86_64) throw invalid('it is not for x86-64');
    if (!elf.hasMultikernelNote) throw invalid('it has no entry for a parent kernel (the note MK)');
  } finally {
    closeSync(fd);
  }
}

/**
 * Throws `invalid` unless both kernels are of one version: what one hands to the other has no form of its own, and is only as both were
 * built. Builds of one source may differ in what their makers have appended.
 */
export function checkSameSource(image: string, host: string): void {
  const source = (version: string) => /^\d+(\.\d+)*(-rc\d+)?/.exec(version)?.[0];
  if (source(image) === source(host)) return;
  throw invalid(`it is Linux ${image}, and this machine runs ${host}`);
}

const invalid = (reason: string): PolykernelError =>
  new PolykernelError('invalid', `the image cannot be booted beside the kernel of this machine: ${reason}`, {
    field: 'image',
    hint: 'Import the vmlinux that was built with the kernel of this machine: pk image import vmlinux --name multikernel',
  });

/**
 * Where its agent waits for a second line, from the host to the instance's id; without it, or where the kernels have none, console and
 * control line are one. 1023, the last port of root's, is that of kerf's agent.
 */
export const SECOND = 'vsock:1022';
const OWN = 'console=mktty0 pk.control=mktty0 pk.segments=1 quiet loglevel=1 pty.legacy_count=0 cryptomgr.notests=1';

/**
 * The kernel's command line, with what its owner appends. Throws `invalid` for `panic=`: a panic before the kernel has its own way to stop
 * would restart the whole machine.
 */
export function commandLine(append: readonly string[] = [], hasSecond = true): string {
  const bad = append.find((word) => /^panic(=|$)/.test(word));
  if (bad === undefined) return [OWN, ...(hasSecond ? [`pk.second=${SECOND}`] : []), ...append].join(' ');
  throw new PolykernelError('invalid', `${bad} could have a panic of this kernel restart the whole machine`, {
    field: 'append',
    value: bad,
    hint: 'Leave it out: a kernel that panics ends by itself.',
  });
}
