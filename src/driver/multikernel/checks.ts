/**
 * What makes a machine a multikernel host, for doctor: the first step of docs/multikernel.md that is not done. Few machines are one and
 * none has to be, so an ordinary one is told all that it would take, and nothing is held against it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { type Check, programCheck } from '../../core/check.ts';
import { hostProblem, isSupported } from './host.ts';

export interface HostLook {
  /** Whether the kernel has the patches; whether their file system is mounted. */
  supported: boolean;
  mounted: boolean;
  /** Of this kernel. */
  commandLine: string;
  /** Whether the device that leads to consoles is there. */
  console: boolean;
  /** `x64` and the like. */
  architecture: string;
  cpus: number;
  memoryBytes: number;
  isRoot: boolean;
}

const [LEAST_CPUS, LEAST_GIB] = [4, 8];

/** What it takes to make a machine a host, a line each, and which of it is so already. docs/multikernel.md has more of each. */
function steps({ architecture, cpus, memoryBytes, commandLine, isRoot }: HostLook): string {
  const gib = Math.floor(memoryBytes / 2 ** 30);
  const isLarge = architecture === 'x64' && cpus >= LEAST_CPUS && gib >= LEAST_GIB;
  const all: [string, boolean][] = [
    [
      `A machine, or a KVM guest, of x86-64 with ${LEAST_CPUS} CPUs and ${LEAST_GIB} GiB at least; this one is ${architecture} with ${cpus} CPUs and ${gib} GiB`,
      isLarge,
    ],
    [
      'Build the kernel v7.0-mk2 or later of github.com/multikernel/linux with MULTIKERNEL, MKTTY, KEXEC_FILE, HOTPLUG_CPU and CONTIG_ALLOC, and keep its vmlinux',
      false,
    ],
    ['Boot it with movablecore= and as much as its guests are to have', SET_ASIDE.test(commandLine)],
    ['mount -t multikernel none /sys/fs/multikernel', false],
    ['pk image import vmlinux --name multikernel', false],
    ['Run the daemon as root', isRoot],
  ];
  return ['What would make it one (docs/multikernel.md):']
    .concat(all.map(([text, isDone], index) => `${index + 1}. ${text}${isDone ? ': so it is' : ''}`))
    .join('\n');
}

export function multikernelChecks(look: HostLook = thisLook()): Check[] {
  const id = 'multikernel-host';
  if (!look.supported)
    return [
      {
        id,
        status: 'ok',
        summary: 'This machine is no multikernel host, which it need not be: its kernel lacks the patches',
        hint: steps(look),
      },
    ];
  if (!look.mounted)
    return [
      {
        id,
        status: 'warn',
        summary: 'The kernel of this machine gives parts of it to others, but its file system is not mounted',
        hint: 'mount -t multikernel none /sys/fs/multikernel',
      },
    ];
  return [
    { id, status: 'ok', summary: 'The kernel of this machine gives parts of it to others' },
    look.console
      ? { id: 'multikernel-console', status: 'ok', summary: 'Consoles of kernels beside it can be heard (/dev/mktty)' }
      : {
          id: 'multikernel-console',
          status: 'missing',
          summary: 'There is no /dev/mktty: nothing that is started could be spoken to',
          hint: 'Build the kernel with CONFIG_MKTTY.',
        },
    programCheck('multikernel-parts', 'Kernels beside the host’s can be loaded and listened to', {
      natives: ['pk-kexec', 'pk-mktty'],
    }),
    memoryCheck(look.commandLine),
  ];
}

const SET_ASIDE = /\b(movablecore|kernelcore|cma)=/;

/** Memory that nothing unmovable lies in: without it large pieces are a matter of luck. */
function memoryCheck(commandLine: string): Check {
  const id = 'multikernel-memory';
  if (SET_ASIDE.test(commandLine))
    return { id, status: 'ok', summary: 'Memory is set aside from which large pieces can be had' };
  return {
    id,
    status: 'warn',
    summary: 'No memory is set aside from which large pieces can be had',
    hint: 'Boot this machine with movablecore= and as much as kernels beside its own are to have.',
  };
}

function thisLook(): HostLook {
  let commandLine = '';
  try {
    commandLine = readFileSync('/proc/cmdline', 'latin1');
  } catch {
    // As in some containers.
  }
  return {
    supported: isSupported(),
    mounted: hostProblem() === undefined,
    commandLine,
    console: existsSync('/dev/mktty'),
    architecture: process.arch,
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    isRoot: process.getuid?.() === 0,
  };
}
