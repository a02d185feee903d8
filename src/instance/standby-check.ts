/** What can have a standby: pure. */
import type { Candidate } from '../driver/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { InstanceSpec } from './spec.ts';

/** Throws `unsupported` naming what speaks against a second kernel beside this one. */
export function checkStandby(spec: InstanceSpec, { capabilities, traits }: Candidate): void {
  if (!spec.standby) return;
  const why = !capabilities.pause
    ? `the ${traits.name} driver cannot freeze a kernel`
    : spec.attached
      ? 'it ends with its client'
      : spec.network === 'none'
        ? 'it has no network, by which a service could reach it'
        : spec.volumes.some(({ readOnly }) => !readOnly)
          ? 'it writes to a volume, which one at a time may have'
          : spec.channels.length > 0
            ? 'it is at the end of a channel'
            : spec.devices.length + (spec.partition?.devices.length ?? 0) > 0
              ? 'it has PCI functions, which one at a time may have'
              : spec.elastic !== null
                ? 'its size changes'
                : spec.partition?.memory.hugePageBytes
                  ? 'its memory is of huge pages'
                  : undefined;
  if (why === undefined) return;
  throw new PolykernelError('unsupported', `${spec.name} cannot have a standby: ${why}`, {
    ...{ field: 'standby', value: true, hint: 'Leave that out, or the standby.' },
  });
}
