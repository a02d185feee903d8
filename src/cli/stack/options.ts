/** What `plan`, `apply`, `diff` and `destroy` share. */
import type { OptionSpec } from '../kit/command.ts';

export const STACK_OPTION: Readonly<Record<string, OptionSpec>> = {
  file: {
    short: 'f',
    value: 'FILE',
    complete: 'file',
    help: 'stack file, - for standard input (default polykernel.yaml)',
  },
  input: {
    value: 'FILE',
    complete: 'file',
    help: 'the same, as for what `pk pool dump` has written, also with --dts, or compiled',
  },
  'env-file': {
    value: 'FILE',
    multiple: true,
    complete: 'file',
    help: 'values of variables that are not in the environment (default: .env beside the stack file)',
  },
};
