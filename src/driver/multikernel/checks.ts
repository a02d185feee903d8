/**
 * What makes a machine a multikernel host, for doctor: the first step of docs/multikernel.md that is not done. Few machines are one and
 * none has to be, so an ordinary one is told what it would take, and nothing is held against it.
 */
import { existsSync, readFileSync } from 'node:fs';
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
}

export function multikernelChecks(look: HostLook = thisLook()): Check[] {
  const id = 'multikernel-host';
  if (!look.supported)
    return [
      {
        id,
        status: 'ok',
        summary:
          'This machine is no multikernel host: its kernel lacks the patches (docs/multikernel.md has the steps)',
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

/** Memory that nothing unmovable lies in: without it large pieces are a matter of luck. */
function memoryCheck(commandLine: string): Check {
  const id = 'multikernel-memory';
  if (/\b(movablecore|kernelcore|cma)=/.test(commandLine))
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
  };
}
