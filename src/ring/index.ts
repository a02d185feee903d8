/** Messages through shared memory, at cache-line speed: `polykernel/ring`. */
import type { SharedMemory } from '../sys/memory.ts';
import { Consumer, type ConsumerOptions } from './consumer.ts';
import type { ChannelSide } from './descriptor.ts';
import * as layout from './layout.ts';
import { Producer, type ProducerOptions } from './producer.ts';

export { SharedMemory } from '../sys/memory.ts';
export { type Bell, FutexBell } from './bell.ts';
export type { Consumer, ConsumerOptions } from './consumer.ts';
export { type ChannelSide, type Descriptor, encodeDescriptor } from './descriptor.ts';
export { FanIn, type FanInMessage } from './fan-in.ts';
export { largestMessage, ringBytes } from './layout.ts';
export { type OpenOptions, openChannel } from './open.ts';
export type { BackPressure, Producer, ProducerOptions } from './producer.ts';
export { Requester, serve } from './request.ts';
export { type RingStatistics, readStatistics, type SideStatistics } from './statistics.ts';

export interface RingOptions {
  /** For people, at most 31 bytes: who made the ring. */
  creator?: string;
}

/** Makes an empty ring of `memory`, which must have `ringBytes(size)` bytes. Whatever was in it is lost. */
export function createRing(memory: SharedMemory, options: RingOptions = {}): void {
  layout.formatRing(memory.buffer, options.creator ?? `node ${process.pid}`);
}

/** Puts the ring in error for both sides, because it is to be taken away. Who sleeps has to be woken. */
export function removeRing(memory: SharedMemory): void {
  layout.failRing(memory.buffer, layout.REMOVED);
}

/** Wakes a process of this kernel that sleeps as `side`. */
export function wakeSide(memory: SharedMemory, side: ChannelSide): void {
  memory.futexWake(side === 'send' ? layout.PRODUCER.attention : layout.CONSUMER.attention);
}

/** Becomes the ring's producer and goes on after the last committed message. Throws `protocol` for what is no ring. */
export const attachProducer = (memory: SharedMemory, options?: ProducerOptions): Producer =>
  new Producer(memory, options);

/** Becomes the ring's consumer at the last released message. Throws `protocol` for what is no ring. */
export const attachConsumer = (memory: SharedMemory, options?: ConsumerOptions): Consumer =>
  new Consumer(memory, options);
