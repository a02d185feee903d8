/** Between whom something moves. */
import { PolykernelError } from '../../sys/errors.ts';
import type { Invocation, OptionSpec } from '../kit/command.ts';

export const MOVE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  from: { value: 'NAME', complete: 'owner', help: 'who gives; `pool` for what nobody owns' },
  to: { value: 'NAME', complete: 'owner', help: 'who gets; `pool` for nobody' },
};

/** Throws `invalid` when one is missing. */
export function movers(invocation: Invocation): { from: string; to: string } {
  const named = (option: string) => {
    const name = invocation.value(option);
    if (name !== undefined) return name;
    throw new PolykernelError('invalid', `--${option} is missing`, {
      field: `--${option}`,
      hint: 'Say between whom: pk move cpu --from batch --to web',
    });
  };
  return { from: named('from'), to: named('to') };
}
