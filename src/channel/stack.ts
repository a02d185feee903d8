/** The channels of a stack file. */
import { oneOf, orNull, record, text } from '../core/schema.ts';
import { reasons, type StackSection } from '../core/stack-section.ts';
import { channelRequestSchema } from './api.ts';
import { checkChannels, type KernelOfFile, readChannels } from './parse-channels.ts';
import { type ChannelPlan, channelSteps, planChannels } from './plan-channels.ts';
import { channelOptions } from './stack-options.ts';
import type { ChannelStep } from './steps.ts';
import type { ChannelDefinition, ChannelStatus } from './types.ts';

export { type ChannelAction, type ChannelPlan, refuseChannels, restartsFor } from './plan-channels.ts';
export type { ChannelStep } from './steps.ts';

export const channelSection: StackSection<KernelOfFile, ChannelDefinition, ChannelStatus, ChannelPlan, ChannelStep> = {
  ...channelOptions,
  planned: record<ChannelPlan>({
    name: text,
    action: oneOf('create', 'replace', 'remove', 'keep'),
    why: reasons,
    channel: { ...orNull(channelRequestSchema), description: 'null = it goes' },
  }),
  read: readChannels,
  check: checkChannels,
  plan: planChannels,
  steps: channelSteps,
};
