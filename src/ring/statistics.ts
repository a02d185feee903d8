/** What a ring's header tells onlookers. They write nothing, so watching does not disturb the two ends. */
import type { SharedMemory } from '../sys/memory.ts';
import * as layout from './layout.ts';

/** Counters of one side since the ring was made. Each side writes its own, so a hostile one may claim anything. */
export interface SideStatistics {
  /** Times a process attached as this side; 0: never. */
  epoch: number;
  state: 'detached' | 'open' | 'closed' | 'error' | 'invalid';
  /** Why it is in error. */
  fault?: string;
  /** Host pid as the side sees itself; 0 when unknown. */
  pid: number;
  asleep: boolean;
  /** Messages and payload bytes, sent or released. */
  messages: bigint;
  bytes: bigint;
  /** Times it slept because the ring was full or empty. */
  stalls: bigint;
  /** Messages dropped because the ring was full; 0 for a consumer. */
  drops: bigint;
  /** Times it woke the other side. */
  bells: bigint;
}

export interface RingStatistics {
  creator: string;
  dataBytes: number;
  /** Bytes of the data area in use: headers and padding included. */
  depthBytes: number;
  producer: SideStatistics;
  consumer: SideStatistics;
}

const STATES = ['detached', 'open', 'closed', 'error'] as const;

/** Reads a ring's header. Throws `protocol` when the memory holds no ring. */
export function readStatistics(memory: SharedMemory): RingStatistics {
  const { buffer } = memory;
  const dataBytes = layout.readHeader(buffer);
  const words = new Int32Array(buffer, 0, layout.HEADER_BYTES / 4);
  // The producer notes its position after it has published: a quick consumer can be ahead of the note.
  const released = Atomics.load(words, layout.CONSUMER.position / 4);
  const written = Atomics.load(words, layout.PRODUCER.position / 4);
  return {
    creator: layout.readCreator(buffer),
    dataBytes,
    depthBytes: Math.max(0, Math.min((written - released) | 0, dataBytes)),
    producer: sideStatistics(buffer, words, layout.PRODUCER),
    consumer: sideStatistics(buffer, words, layout.CONSUMER),
  };
}

function sideStatistics(buffer: ArrayBuffer, words: Int32Array, at: layout.SideOffsets): SideStatistics {
  const counters = new BigUint64Array(buffer, at.statistics, 5);
  const word = (offset: number) => Atomics.load(words, offset / 4);
  const state = STATES[word(at.state)] ?? 'invalid';
  const fault = word(at.fault);
  return {
    epoch: word(at.epoch) >>> 0,
    state,
    ...(state === 'error' ? { fault: layout.FAULTS[fault] ?? `unknown fault ${fault}` } : {}),
    pid: word(at.pid) >>> 0,
    asleep: word(at.attention) === layout.ASLEEP,
    messages: counters[0]!,
    bytes: counters[1]!,
    stalls: counters[2]!,
    drops: counters[3]!,
    bells: counters[4]!,
  };
}
