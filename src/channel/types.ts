/** What a channel is: a ring in memory of its own, between two ends, by a name. */
import type { ChannelSide, RingStatistics, SideStatistics } from '../ring/index.ts';
import type { ChannelRequest } from './request.ts';

export type { ChannelRequest, ChannelSide };

/** With everything that may be left out. */
export type ChannelDefinition = Required<ChannelRequest>;

/** One end, as far as can be seen from the host. */
export interface ChannelEnd extends Omit<SideStatistics, 'messages' | 'bytes' | 'stalls' | 'drops' | 'bells'> {
  /** Name of an instance, or `host`. */
  owner: string;
  /** `attached`: the memory is visible there. `pending`: the kernel runs without it. `absent`: no kernel runs there. */
  visible: 'attached' | 'pending' | 'absent';
  /** What has to happen before it is visible; null when it is. */
  reason: string | null;
  messages: number;
  bytes: number;
  stalls: number;
  drops: number;
  bells: number;
}

export interface ChannelStatus {
  /** 32 lower-case hex digits. */
  id: string;
  name: string;
  sizeBytes: number;
  /** Longest message in bytes. */
  largestMessage: number;
  /** `error`: one end broke the layout, or the memory was lost; `fault` says what. It has to be made anew. */
  state: 'ok' | 'error';
  fault: string | null;
  /** Bytes of the ring in use, headers and padding included. */
  depthBytes: RingStatistics['depthBytes'];
  from: ChannelEnd;
  to: ChannelEnd;
  /** ISO 8601 UTC. */
  createdAt: string;
  /** The stack that described it; null = it was created by itself. */
  stack: string | null;
}

/** The channels of a daemon, as the API and stacks use them. */
export interface ChannelManager {
  /** By name. */
  list(): ChannelStatus[];
  /** Throws `not-found`. */
  get(name: string): ChannelStatus;
  /**
   * Makes its memory and shows it to the kernels at its ends that can be given memory while they run.
   * Throws `invalid` (`field` names what), `conflict` (name taken), `unavailable` (not enough memory).
   */
  create(request: ChannelRequest, stack?: string): Promise<ChannelStatus>;
  /** Throws `not-found`, and `conflict` while a program is attached to an end, unless forced: it then gets an error. */
  remove(name: string, force?: boolean): Promise<void>;
}
