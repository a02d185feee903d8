/** A channel as its options describe it; what they leave open the daemon decides. */
import type { ChannelRequest } from '../../channel/contract.ts';
import { connect } from '../../client/index.ts';
import { parseBytes } from '../../sys/units.ts';
import { type Command, type Invocation, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';

export const command: Command = {
  summary: 'make a ring of shared memory between two ends',
  usage: '[OPTION]... NAME',
  description:
    'An end is an instance, which need not exist yet, or `host`. Prints the name. A QEMU kernel that runs sees the channel\n' +
    'at once, a UML kernel after its next start.',
  options: {
    from: { value: 'END', complete: 'end', help: 'who sends: an instance or host (default host)' },
    to: { value: 'END', complete: 'end', help: 'who receives: an instance or host (default host)' },
    size: { value: 'SIZE', help: 'memory for messages under way, a power of two from 4K to 512M (default 1M)' },
    json: JSON_OPTION,
  },
  arguments: [1, 1],
  examples: [
    ['pk channel create orders --to web', 'from this machine to the instance web'],
    ['pk channel create frames --from camera --to detector --size 64M', 'between two kernels'],
  ],
  async run(invocation) {
    const request = channelRequest(invocation);
    const channel = await (await connect()).createChannel(request);
    return answer(invocation, channel, ({ name }) => `${name}\n`);
  },
};

export function channelRequest(invocation: Invocation): ChannelRequest {
  const request: ChannelRequest = { name: invocation.positionals[0]! };
  const from = invocation.value('from');
  const to = invocation.value('to');
  const size = invocation.value('size');
  if (from !== undefined) request.from = from;
  if (to !== undefined) request.to = to;
  if (size !== undefined) request.sizeBytes = parseBytes(size, '--size');
  return request;
}
