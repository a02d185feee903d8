/** What a multikernel host needs, for doctor. Few machines are one, and none has to be: what is missing is told and not held against it. */
import { readFileSync } from 'node:fs';
import { type Check, programCheck } from '../../core/check.ts';
import { hostProblem } from './host.ts';

export function multikernelChecks(problem = hostProblem(), commandLine = readCommandLine()): Check[] {
  if (problem !== undefined)
    return [{ id: 'multikernel-host', status: 'ok', summary: `No multikernel host: ${problem.reason}` }];
  return [
    { id: 'multikernel-host', status: 'ok', summary: 'The kernel of this machine gives parts of it to others' },
    programCheck('multikernel-parts', 'Kernels beside the host’s can be loaded and listened to', {
      natives: ['pk-kexec', 'pk-mktty'],
    }),
    commandLine.includes('movablecore=') || commandLine.includes('cma=')
      ? { id: 'multikernel-memory', status: 'ok', summary: 'Memory is set aside for large pieces (movablecore=)' }
      : {
          id: 'multikernel-memory',
          status: 'warn',
          summary: 'No memory is set aside from which large pieces can be had',
          hint: 'Boot the host with movablecore= and as much as kernels beside it are to have.',
        },
  ];
}

function readCommandLine(): string {
  try {
    return readFileSync('/proc/cmdline', 'latin1');
  } catch {
    return '';
  }
}
