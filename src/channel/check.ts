/** Checks of a request for a channel that its schema cannot express. */

import { HOST } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { ChannelRequest } from './types.ts';

const DEFAULT_SIZE_BYTES = 2 ** 20;

/** The request with its defaults. Throws `invalid` naming the field. */
export function resolveChannel(request: ChannelRequest): Required<ChannelRequest> {
  const { name, from = HOST, to = HOST, sizeBytes = DEFAULT_SIZE_BYTES } = request;
  if (from === to && from !== HOST) {
    throw new PolykernelError('invalid', `both ends of the channel ${name} are ${from}`, {
      field: 'to',
      value: to,
      hint: 'Within one kernel a pipe or a socket does the same; name another instance, or host.',
    });
  }
  if (!Number.isInteger(Math.log2(sizeBytes))) {
    throw new PolykernelError('invalid', `the size ${sizeBytes} is no power of two`, {
      field: 'sizeBytes',
      value: sizeBytes,
      hint: `Give ${2 ** Math.ceil(Math.log2(sizeBytes))}, for example.`,
    });
  }
  return { name, from, to, sizeBytes };
}
