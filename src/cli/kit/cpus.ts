/** Numbers of CPUs as people write them: whole ones, or parts of shared ones with three decimals. */
import { PolykernelError } from '../../sys/errors.ts';

/** `field`: for the error. Throws `invalid`. */
export function parseCpus(text: string, field: string): number {
  const value = Number(text);
  if (/^\d{1,5}(\.\d{1,3})?$/.test(text) && value > 0) return value;
  throw new PolykernelError('invalid', `${field}: ${JSON.stringify(text)} is not a number of CPUs`, {
    field,
    value: text,
    hint: 'Give a number above 0 with at most three decimals, such as 2, or 0.5 of shared CPUs.',
  });
}
