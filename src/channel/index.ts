export { channelRequestSchema, channelUsesSchema } from './request.ts';
export type { ChannelEnd, ChannelManager, ChannelRequest, ChannelSide, ChannelStatus, ChannelUse } from './types.ts';
export { HOST } from './types.ts';
