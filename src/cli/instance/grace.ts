import { parseDuration } from '../../sys/units.ts';
import type { Invocation, OptionSpec } from '../kit/command.ts';

/** How long a stop may take before the kernel is killed. */
export const GRACE_OPTION: Readonly<Record<string, OptionSpec>> = {
  grace: { value: 'TIME', help: "how long to wait before killing (default: the instance's)" },
};

export function grace(invocation: Invocation): { graceMs?: number } {
  const text = invocation.value('grace');
  return text === undefined ? {} : { graceMs: parseDuration(text, '--grace') };
}
