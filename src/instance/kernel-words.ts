/** Words for the command line of an instance's kernel, `--append`: all but those by which Polykernel itself runs it. Pure. */
import { PolykernelError } from '../sys/errors.ts';

/** By the name of the parameter, in which the kernel takes `-` for `_`: why it is not for others to say, and what is. */
const OWN: readonly (readonly [RegExp, string])[] = [
  [/^(rd)?init$/, "the first process is the guest's agent: give a command"],
  [/^(no)?initrd|^initramfs/, 'the agent comes by the initramfs: --initrd puts one before it'],
  [/^root|^r[ow]$/, 'the root is what --rootfs says'],
  // User Mode Linux reads a number behind these as strtoul does, `0x0` too: whatever begins so.
  [
    /^(con|ssl|earlycon|earlyprintk|netconsole|xterm|port|stderr|tty_log)/,
    'the console and the control line are in use',
  ],
  [/^pk[._]/, "it is the agent's"],
  [/^(mem|memmap|maxcpus|nr_cpus|possible_cpus|nosmp|ncpus)$/, 'CPUs and memory are what --cpus and --memory say'],
  [/^(panic|reboot)$/, 'by it the end of the kernel is seen'],
  [
    /^(ubd|udb|vec|eth|iomem|umid|uml_|hostfs|mconsole|hostname|physmem|fake_ide)|^(mode|seccomp|aio|initcall_blacklist|module_blacklist|bootconfig)$/,
    'it says what of this machine the kernel has',
  ],
  [/^(virtio_mmio\.device|acpi|noacpi|pci|nopci|swiotlb)$/, 'the devices of its machine are found by it'],
];
const HINT = 'Leave it out. What others mean is in the documentation of Linux: admin-guide/kernel-parameters.';

/** Throws `invalid` naming the word. Undefined words are Linux's business. */
export function checkKernelWords(text: string): void {
  for (const word of kernelWords(text)) {
    const name = word.split('=', 1)[0]!.replaceAll('-', '_');
    const reason = word.startsWith('-')
      ? 'it is for the first process, or an option of the kernel as a program'
      : OWN.find(([own]) => own.test(name))?.[1];
    if (reason === undefined) continue;
    throw new PolykernelError('invalid', `append: ${JSON.stringify(word)} is refused: ${reason}`, {
      field: 'append',
      value: word,
      hint: HINT,
    });
  }
}

/** Each is one: quotes, by which one has spaces in it, are not accepted. */
export const kernelWords = (text: string): string[] => text.split(' ').filter((word) => word !== '');
