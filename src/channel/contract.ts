export { resolveChannel } from './check.ts';
export type { ChannelRecord, EndRecord } from './record.ts';
export { channelTable, endOf, otherSide, SIDES } from './record.ts';
export { checkTenants } from './tenants.ts';
export type {
  ChannelDefinition,
  ChannelEnd,
  ChannelManager,
  ChannelRequest,
  ChannelSide,
  ChannelStatus,
} from './types.ts';
