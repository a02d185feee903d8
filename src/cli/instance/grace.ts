import { parseDuration } from '../../sys/units.ts';
import type { Invocation, OptionSpec } from '../kit/command.ts';

/** How long a stop may take before the kernel is killed. */
export const GRACE_OPTION: Readonly<Record<string, OptionSpec>> = {
  grace: { value: 'TIME', help: "how long to wait before killing (default: the instance's)" },
  time: { short: 't', value: 'SECONDS', help: 'the same in seconds' },
};

export function grace(invocation: Invocation): { graceMs?: number } {
  const text = invocation.value('grace');
  if (text !== undefined) return { graceMs: parseDuration(text, '--grace') };
  const seconds = invocation.integer('time', 0);
  return seconds === undefined ? {} : { graceMs: seconds * 1000 };
}
