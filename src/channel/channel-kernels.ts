/** The kernels at the ends of channels: what each sees, and what goes on at its side. */
import type { Journal } from '../core/journal.ts';
import type { Kernel, SharedRegion } from '../driver/index.ts';
import { HOST } from '../instance/contract.ts';
import { wakeSide } from '../ring/index.ts';
import type { Channel } from './channel.ts';
import { type Seen, sideOf, statisticsOf } from './channel-status.ts';
import { KernelView } from './channel-view.ts';
import { type ChannelSide, endOf, SIDES } from './contract.ts';

interface Around {
  readonly journal: Journal;
  /** What a kernel of an instance is to see of a channel now; undefined: nothing. */
  regionFor(channel: Channel, instance: string): SharedRegion | undefined;
  /** Its kernel has not answered this daemon yet. */
  isTakingOver(instance: string): boolean;
  /** A process in a guest rings the bell in a slot. */
  rung(instance: string, slot: number): void;
}

/** INVARIANT: only the kernel that an instance has now is shown anything, and heard. */
export class ChannelKernels {
  readonly #around: Around;
  readonly #views = new Map<string, KernelView>();

  constructor(around: Around) {
    this.#around = around;
  }

  /** A kernel of an instance runs; `attached`: ids of the memory it was started with. */
  add(instance: string, kernel: Kernel, attached: readonly string[]): void {
    const view = new KernelView(kernel, attached, this.#around.journal);
    this.#views.set(instance, view);
    kernel.guest.on('bell', (slot) => {
      if (this.#views.get(instance) === view) this.#around.rung(instance, slot);
    });
    void kernel.exited.then(() => {
      if (this.#views.get(instance) === view) this.#views.delete(instance);
    });
  }

  /** Shows the channel to the kernel of an instance if it runs and does not see it. It may never answer. */
  async show(channel: Channel, instance: string): Promise<void> {
    const view = this.#views.get(instance);
    await view?.show(() => {
      const region = this.#views.get(instance) === view ? this.#around.regionFor(channel, instance) : undefined;
      return region && { region, lostId: channel.lostId };
    });
  }

  /** Asks again who did not answer: a guest may have been paused. */
  showAgain(channels: Iterable<Channel>): void {
    for (const channel of channels)
      for (const [instance, view] of this.#views) if (view.isDue(channel.record.id)) void this.show(channel, instance);
  }

  /** Takes the channel from the kernels at its ends, which may never answer. */
  hide({ record }: Channel): Promise<void>[] {
    return SIDES.flatMap((side) => this.#views.get(endOf(record, side).owner)?.hide(record) ?? []);
  }

  /** What can be said of one side from the host. */
  seen(channel: Channel, side: ChannelSide): Seen {
    return { ...this.#visibility(channel, channel.ownerOf(side)), inUse: this.isInUse(channel, side) };
  }

  #visibility({ record, memory }: Channel, owner: string): Omit<Seen, 'inUse'> {
    if (memory === undefined) return { visible: 'absent', reason: 'its memory is gone' };
    if (owner === HOST) return { visible: 'attached', reason: null };
    const view = this.#views.get(owner);
    if (view === undefined && this.#around.isTakingOver(owner))
      return { visible: 'pending', reason: 'its kernel has not answered the new daemon yet' };
    if (view === undefined) return { visible: 'absent', reason: `no kernel of ${owner} runs` };
    if (view.sees(record.id)) return { visible: 'attached', reason: null };
    return { visible: 'pending', reason: view.reason(record.id) };
  }

  /** Whether a program has the side open, as far as can be told from the host. */
  isInUse(channel: Channel, side: ChannelSide): boolean {
    const { memory, record } = channel;
    if (memory === undefined) return false;
    const owner = channel.ownerOf(side);
    if (owner === HOST) return memory.isLocked(side === 'send' ? 0 : 1);
    if (this.#views.get(owner)?.sees(record.id) !== true) return false;
    return sideOf(statisticsOf(memory), side).state === 'open';
  }

  /** Wakes who sleeps on `side`. */
  wake({ record, memory }: Channel, side: ChannelSide): void {
    const { owner, slot } = endOf(record, side);
    if (owner !== HOST) this.#views.get(owner)?.kernel.guest.bell(slot!);
    else if (memory !== undefined) wakeSide(memory, side);
  }
}
