/** Why a trial could not be made: a kernel of it ended by itself. */
import type { Instance } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';

/** The fault had no part in it. */
export function endedBefore({ name, instance }: { name: string; instance: Instance }): PolykernelError {
  const message = `${name} ended before the fault: ${instance.record.machine.exit?.message || instance.state}`;
  return new PolykernelError('unsupported', message, {
    hint: 'A trial needs workloads that go on without what clones do not have (docs/containment.md), or --live.',
  });
}
