/** What is kept of a channel across daemons. */
import type { TableDefinition } from '../core/table.ts';
import type { ChannelSide } from './types.ts';

export interface EndRecord {
  /** Name of an instance, or `host`. */
  owner: string;
  /** Which of its instance's channels it is, below 16; null for the host. */
  slot: number | null;
  /** Taken by `run --channel`: the host's again once that instance is removed. */
  claimed: boolean;
}

export interface ChannelRecord {
  /** 32 lower-case hex digits; of its memory too. */
  id: string;
  name: string;
  /** In the bells of host processes; unique among the channels there are. */
  number: number;
  sizeBytes: number;
  from: EndRecord;
  to: EndRecord;
  createdAt: string;
  stack: string | null;
  /** Its removal has begun and is to be completed. */
  removing: boolean;
}

export const channelTable: TableDefinition<ChannelRecord> = {
  name: 'channels',
  nameOf: ({ name }) => name,
  migrations: [],
};

export const SIDES: readonly ChannelSide[] = ['send', 'recv'];

export const otherSide = (side: ChannelSide): ChannelSide => (side === 'send' ? 'recv' : 'send');

export const endOf = (record: ChannelRecord, side: ChannelSide): EndRecord =>
  side === 'send' ? record.from : record.to;
