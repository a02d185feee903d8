/** What people are told of a channel: its record, its ring's header and what its kernels see, put together. */

import {
  largestMessage,
  type RingStatistics,
  readStatistics,
  type SharedMemory,
  type SideStatistics,
} from '../ring/index.ts';
import { type ChannelEnd, type ChannelRecord, type ChannelSide, type ChannelStatus, endOf, SIDES } from './contract.ts';

/** What is known of an end besides the ring's header. */
export interface Seen extends Pick<ChannelEnd, 'visible' | 'reason'> {
  /** A program has it open. */
  inUse: boolean;
}

/** undefined when one end has overwritten the header. */
export function statisticsOf(memory: SharedMemory): RingStatistics | undefined {
  try {
    return readStatistics(memory);
  } catch {
    return undefined;
  }
}

/** Of a side of which nothing can be known. */
const NOTHING: SideStatistics = {
  ...{ epoch: 0, state: 'detached', pid: 0, asleep: false },
  ...{ messages: 0n, bytes: 0n, stalls: 0n, drops: 0n, bells: 0n },
};

export const sideOf = (statistics: RingStatistics | undefined, side: ChannelSide): SideStatistics =>
  statistics?.[side === 'send' ? 'producer' : 'consumer'] ?? NOTHING;

export function channelStatus(
  record: ChannelRecord,
  memory: SharedMemory | undefined,
  seen: Record<ChannelSide, Seen>,
): ChannelStatus {
  const { id, name, sizeBytes, createdAt, stack } = record;
  const statistics = memory && statisticsOf(memory);
  const fault = faultOf(record, memory, statistics);
  return {
    id,
    name,
    sizeBytes,
    largestMessage: largestMessage(sizeBytes),
    state: fault === null ? 'ok' : 'error',
    fault,
    depthBytes: statistics?.depthBytes ?? 0,
    from: channelEnd(endOf(record, 'send').owner, sideOf(statistics, 'send'), seen.send),
    to: channelEnd(endOf(record, 'recv').owner, sideOf(statistics, 'recv'), seen.recv),
    createdAt,
    stack,
  };
}

/** Why a channel is in error; null when it is not. */
export function faultOf(
  record: ChannelRecord,
  memory: SharedMemory | undefined,
  statistics: RingStatistics | undefined,
): string | null {
  if (memory === undefined) return 'its memory could not be mapped; see the journal of the daemon';
  if (statistics === undefined) return 'one end has overwritten the header';
  for (const side of SIDES) {
    const { state, fault } = sideOf(statistics, side);
    const who = `${side} side (${endOf(record, side).owner})`;
    if (state === 'error') return `${who}: ${fault}`;
    if (state === 'invalid') return `${who}: an unknown state`;
  }
  return null;
}

function channelEnd(owner: string, side: SideStatistics, { visible, reason, inUse }: Seen): ChannelEnd {
  const { messages, bytes, stalls, drops, bells, state, ...rest } = side;
  return {
    ...{ owner, visible, reason, ...rest },
    // What died without a word has left its state behind.
    state: state === 'open' && !inUse ? 'detached' : state,
    ...{ messages: Number(messages), bytes: Number(bytes), stalls: Number(stalls) },
    ...{ drops: Number(drops), bells: Number(bells) },
  };
}
