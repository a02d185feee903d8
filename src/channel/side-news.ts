/** What programs do with the two sides of a channel, as events: it is read from the header of its ring. */
import type { RingStatistics, SharedMemory } from '../ring/index.ts';
import type { Clock } from '../sys/clock.ts';
import { faultOf, sideOf, statisticsOf } from './channel-status.ts';
import { type ChannelRecord, type ChannelSide, endOf, SIDES } from './contract.ts';
import type { channelEvents } from './events.ts';

/** Changes within this time of the last that was told are told together. */
const NEWS_MS = 1000;

export type ChannelEvent = keyof typeof channelEvents;

/** The channel, as it is at the moment. */
interface Watched {
  readonly record: ChannelRecord;
  readonly memory: SharedMemory | undefined;
  tell(type: ChannelEvent, message: string): void;
}

/** INVARIANT: however often it is asked to look, it tells at most once a second: a hostile end can change the header at will. */
export class SideNews {
  readonly #channel: Watched;
  readonly #clock: Clock;
  /** What was last told of each side. */
  readonly #told: Record<ChannelSide, { epoch: number; state: string }> = {
    send: { epoch: 0, state: 'detached' },
    recv: { epoch: 0, state: 'detached' },
  };
  #toldAt = -Infinity;
  #cancel: (() => void) | undefined;

  constructor(channel: Watched, clock: Clock) {
    this.#channel = channel;
    this.#clock = clock;
  }

  /** Takes what is there for told: it was there before this daemon. */
  skip(): void {
    const { producer, consumer } = this.#statistics() ?? {};
    if (producer !== undefined) this.#told.send = { epoch: producer.epoch, state: producer.state };
    if (consumer !== undefined) this.#told.recv = { epoch: consumer.epoch, state: consumer.state };
  }

  /** Tells what has changed, now or in a moment. */
  look(): void {
    if (this.#cancel !== undefined) return;
    const left = this.#toldAt + NEWS_MS - this.#clock.monotonic();
    if (left > 0) {
      this.#cancel = this.#clock.after(left, () => {
        this.#cancel = undefined;
        this.look();
      });
      return;
    }
    if (this.#channel.record.removing) return;
    const statistics = this.#statistics();
    for (const side of SIDES) this.#lookAt(side, statistics);
  }

  close(): void {
    this.#cancel?.();
  }

  #lookAt(side: ChannelSide, statistics: RingStatistics | undefined): void {
    const { record, memory } = this.#channel;
    const { epoch, pid, ...read } = sideOf(statistics, side);
    const state = statistics === undefined ? 'error' : read.state;
    const before = this.#told[side];
    if (before.epoch === epoch && before.state === state) return;
    this.#told[side] = { epoch, state };
    this.#toldAt = this.#clock.monotonic();
    const who = `${side} side (${endOf(record, side).owner})`;
    if (state === 'open') this.#channel.tell('channel-attached', `${who}: process ${pid}, epoch ${epoch}`);
    else if (state === 'closed') this.#channel.tell('channel-closed', who);
    else if (state === 'detached') this.#channel.tell('channel-detached', who);
    else if (before.state !== 'error') this.#channel.tell('channel-error', faultOf(record, memory, statistics) ?? who);
  }

  #statistics(): RingStatistics | undefined {
    const { memory } = this.#channel;
    return memory && statisticsOf(memory);
  }
}
