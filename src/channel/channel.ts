/** One channel of the daemon: its record, its memory as mapped here, the bells towards its sides, and news of them. */
import type { EventLog } from '../core/events.ts';
import type { SharedMemory } from '../ring/index.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { BellThrottle } from './bell-throttle.ts';
import { type ChannelRecord, type ChannelSide, endOf, SIDES } from './contract.ts';
import { type ChannelEvent, SideNews } from './side-news.ts';

/** What it needs of the daemon. */
interface Around {
  readonly clock: Clock;
  readonly events: EventLog;
}

/** INVARIANT: its memory is mapped until letGo(), after which nothing here rings or tells of its own accord. */
export class Channel {
  record: ChannelRecord;
  /** undefined: it was lost with its keeper and this process' predecessor. */
  memory: SharedMemory | undefined;
  /** Id of memory that was lost: what kernels have mapped by that id is to be taken from them. */
  lostId: string | undefined;
  readonly bells: Readonly<Record<ChannelSide, BellThrottle>>;
  readonly news: SideNews;
  readonly #around: Around;

  /** `wake` wakes who sleeps on a side. */
  constructor(record: ChannelRecord, around: Around, wake: (channel: Channel, side: ChannelSide) => void) {
    this.record = record;
    this.#around = around;
    const bell = (side: ChannelSide) => new BellThrottle(around.clock, () => wake(this, side));
    this.bells = { send: bell('send'), recv: bell('recv') };
    this.news = new SideNews(this, around.clock);
  }

  /** Name of an instance, or `host`. */
  ownerOf(side: ChannelSide): string {
    return endOf(this.record, side).owner;
  }

  tell(type: ChannelEvent, message: string): void {
    const { events, clock } = this.#around;
    const { name, id } = this.record;
    events.tell({ at: timestamp(clock), type, name, id, message });
  }

  letGo(): void {
    for (const side of SIDES) this.bells[side].close();
    this.news.close();
    this.memory?.[Symbol.dispose]();
    this.memory = undefined;
  }
}
