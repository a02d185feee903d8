/** The kinds of step that change channels, and how each is carried out. */
import type { BareStep, Executors, Step } from '../core/step.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { ChannelDefinition, ChannelManager, ChannelStatus } from './types.ts';

/** Makes the memory of a channel; running kernels that can be given memory see it at once. */
interface CreateChannel extends BareStep<'channel.create'> {
  channel: ChannelDefinition;
  stack: string;
}

/** Takes a channel and its memory away, with the messages in it. */
interface RemoveChannel extends BareStep<'channel.remove'> {}

/** Each kind, and what takes it back. */
export type ChannelStep = Step<CreateChannel, RemoveChannel> | Step<RemoveChannel, CreateChannel>;

export const createChannel = (channel: ChannelDefinition, stack: string): ChannelStep => ({
  ...creation(channel, stack),
  undo: removal(channel.name),
  byHand: `pk channel rm ${channel.name}`,
});

export const removeChannel = (before: ChannelStatus, stack: string): ChannelStep => ({
  ...removal(before.name),
  undo: creation(definitionOf(before), stack),
  byHand: 'apply the stack file as it was; its messages are lost',
});

export function channelExecutors(channels: ChannelManager): Executors<ChannelStep> {
  const find = (name: string) => channels.list().find((channel) => channel.name === name);
  const isAsPlanned = (channel: ChannelDefinition) => {
    const is = find(channel.name);
    return is !== undefined && JSON.stringify(definitionOf(is)) === JSON.stringify(ordered(channel));
  };
  return {
    'channel.create': {
      check({ name }) {
        if (find(name) === undefined) return;
        throw new PolykernelError('conflict', `there is a channel ${name} already`, {
          field: 'name',
          value: name,
          hint: `Choose another name, or remove it: pk channel rm ${name}`,
        });
      },
      async run({ channel, stack }) {
        if (!isAsPlanned(channel)) await channels.create(channel, stack);
      },
      verify: ({ channel }) => isAsPlanned(channel),
      afterCrash: 'finish',
    },
    'channel.remove': {
      check: ({ name }) => void channels.get(name),
      async run({ name }) {
        if (find(name) !== undefined) await channels.remove(name, true);
      },
      verify: ({ name }) => find(name) === undefined,
      afterCrash: 'finish',
    },
  };
}

const creation = (channel: ChannelDefinition, stack: string): CreateChannel => ({
  kind: 'channel.create',
  name: channel.name,
  phase: 'attach',
  text: `create ${channelText(channel)}`,
  channel,
  stack,
});

const removal = (name: string): RemoveChannel => ({
  kind: 'channel.remove',
  name,
  phase: 'detach',
  text: `remove channel ${name}`,
});

const channelText = ({ name, from, to, sizeBytes }: ChannelDefinition): string =>
  `channel ${name} from ${from} to ${to}, ${formatBytes(sizeBytes)}`;

const definitionOf = ({ name, from, to, sizeBytes }: ChannelStatus): ChannelDefinition =>
  ordered({ name, from: from.owner, to: to.owner, sizeBytes });

/** With its fields in one order, so that equal ones are equal as JSON. */
const ordered = ({ name, from, to, sizeBytes }: ChannelDefinition): ChannelDefinition => ({
  name,
  from,
  to,
  sizeBytes,
});
