/** CPUs as people write them: how many, whole ones or parts of shared ones with three decimals; or which. */
import { parseCpuList } from '../../sys/cpu-list.ts';
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

/** The CPUs of a list such as `2-7,10`, ascending. Throws `invalid` naming `field`. */
export function parseCpuSet(text: string, field: string): number[] {
  try {
    return parseCpuList(text);
  } catch (error) {
    throw new PolykernelError(
      'invalid',
      `${field}: ${JSON.stringify(text)} is not a list of CPUs: ${(error as Error).message}`,
      {
        field,
        value: text,
        hint: 'Write numbers and ranges, such as 2-7,10.',
      },
    );
  }
}
