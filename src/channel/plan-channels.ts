/** What is to happen to the channels of a stack, and what that asks of its kernels. Pure. */

import type { SectionQuestion, SectionRefusal } from '../core/stack-section.ts';
import type { Capabilities } from '../driver/index.ts';
import { HOST } from '../instance/contract.ts';
import { formatBytes } from '../sys/units.ts';
import type { ChannelDefinition, ChannelStatus } from './contract.ts';
import { type ChannelStep, createChannel, removeChannel } from './steps.ts';

/** `replace`: removed and made anew, so that messages in it are lost. */
export type ChannelAction = 'create' | 'replace' | 'remove' | 'keep';

export interface ChannelPlan {
  name: string;
  action: ChannelAction;
  /** Why, one sentence each; for `keep` empty. */
  why: string[];
  /** As it will be; null = it goes. */
  channel: ChannelDefinition | null;
}

/** The channels of `stack`, in the order of the file, then those that go. Names that others have are refused. */
export function planChannels(
  { stack, wanted, present, gone }: SectionQuestion<ChannelDefinition, ChannelStatus>,
  refused: SectionRefusal[],
): ChannelPlan[] {
  const byName = new Map(present.map((channel) => [channel.name, channel]));
  const plans = wanted.map((channel): ChannelPlan => {
    const { name } = channel;
    const is = byName.get(name);
    if (is === undefined) return { name, action: 'create', why: ['it does not exist'], channel };
    if (is.stack !== stack) refused.push(channelTaken(name, is.stack));
    const why = changes(is, channel);
    return { name, action: why.length > 0 ? 'replace' : 'keep', why, channel };
  });
  const names = new Set(wanted.map(({ name }) => name));
  for (const { name } of present.filter((each) => each.stack === stack && !names.has(each.name)))
    plans.push({ name, action: 'remove', why: [gone], channel: null });
  return plans;
}

function changes(is: ChannelStatus, { from, to, sizeBytes }: ChannelDefinition): string[] {
  const why: string[] = [];
  if (is.from.owner !== from) why.push(`from changes from ${is.from.owner} to ${from}`);
  if (is.to.owner !== to) why.push(`to changes from ${is.to.owner} to ${to}`);
  if (is.sizeBytes !== sizeBytes)
    why.push(`size changes from ${formatBytes(is.sizeBytes)} to ${formatBytes(sizeBytes)}`);
  if (why.length === 0 && is.state === 'error') why.push(`it is in error: ${is.fault}`);
  if (why.length > 0 && is.depthBytes > 0) why.push('messages in it are lost');
  return why;
}

/** Why a running kernel has to be started again for the sake of its channels; empty when it need not. */
export function restartsFor(
  kernel: string,
  driver: string,
  channels: readonly ChannelPlan[],
  present: readonly ChannelStatus[],
  sharedMemory: ReadonlyMap<string, Capabilities['sharedMemory']>,
): string[] {
  return channels.flatMap(({ name, action, channel }) => {
    const side = channel?.from === kernel ? 'from' : channel?.to === kernel ? 'to' : undefined;
    if (side === undefined) return [];
    const is = present.find((each) => each.name === name);
    const lacks = action === 'keep' ? is?.[side].visible === 'pending' : sharedMemory.get(driver) === 'boot';
    return lacks ? [`it sees the channel ${name} only from its start on, which needs a restart`] : [];
  });
}

/** `replace` is both: taken away, and made anew once nothing of it is left. */
export function channelSteps(
  plans: readonly ChannelPlan[],
  present: readonly ChannelStatus[],
  stack: string,
): ChannelStep[] {
  const byName = new Map(present.map((channel) => [channel.name, channel]));
  return plans.flatMap(({ name, action, channel }) => {
    const before = byName.get(name);
    return [
      ...(before === undefined || action === 'keep' ? [] : [removeChannel(before, stack)]),
      ...(channel === null || action === 'keep' ? [] : [createChannel(channel, stack)]),
    ];
  });
}

const channelTaken = (name: string, stack: string | null): SectionRefusal => ({
  name: `channel ${name}`,
  field: 'name',
  message: `the name is taken by a channel ${stack === null ? 'that no stack owns' : `of the stack ${stack}`}`,
  hint: `Rename it in the file, or remove that one: pk channel rm ${name}`,
});

/** Kernels without shared memory cannot have ends. */
export function refuseChannels(
  channels: readonly ChannelDefinition[],
  driverOf: (kernel: string) => string | undefined,
  sharedMemory: ReadonlyMap<string, Capabilities['sharedMemory']>,
  refused: SectionRefusal[],
): void {
  for (const { name, from, to } of channels) {
    for (const owner of [from, to]) {
      const driver = owner === HOST ? undefined : driverOf(owner);
      if (driver === undefined || sharedMemory.get(driver) !== 'none') continue;
      const hint = 'Run that kernel with another driver.';
      refused.push({
        name: owner,
        field: 'driver',
        message: `${driver} has no shared memory for channel ${name}`,
        hint,
      });
    }
  }
}
