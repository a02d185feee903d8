/** Times and sizes as balancing takes them; what it does not take is refused in the words of who wrote it. */
import { PolykernelError } from '../../sys/errors.ts';
import { formatBytes, parseBytes, parseDuration } from '../../sys/units.ts';

const MIB = 2 ** 20;
/** What decisions and holds are kept for. */
export const WEEK = '7d';

/** Whole seconds, more than none. Throws `invalid` for what is longer than `most`. */
export function parseSeconds(text: string, field: string, most: string): number {
  const ms = parseDuration(text, field);
  if (ms > 0 && ms <= parseDuration(most)) return Math.ceil(ms / 1000);
  throw new PolykernelError('invalid', `${field}: ${text} is ${ms > 0 ? `longer than ${most}` : 'no time at all'}`, {
    field,
    value: text,
    hint: `Give a time up to ${most}, such as 10m.`,
  });
}

/** Memory in whole MiB, more than none. Throws `invalid`. */
export function parseMemory(text: string, field: string): number {
  const bytes = parseBytes(text, field);
  if (bytes > 0 && bytes % MIB === 0) return bytes;
  throw new PolykernelError(
    'invalid',
    `${field}: ${text} is ${formatBytes(bytes)}, and no whole number of MiB above 0`,
    {
      field,
      value: text,
      hint: 'Give whole MiB, with their unit, such as 256M.',
    },
  );
}
