/** How the side of a ring that sleeps is woken. One bell belongs to one side; each transport brings its own. */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { SharedMemory } from '../sys/memory.ts';
import type { Descriptor } from './descriptor.ts';
import { ASLEEP, AWAKE, type SideOffsets } from './layout.ts';
import { Sleeper } from './sleeper.ts';

export interface Bell extends Disposable {
  /** Waking takes a millisecond, because others have to run for it: it pays to look a little longer before sleeping. */
  readonly relayed?: boolean;
  /** Wakes the other side. Called only when its attention word said that it sleeps, and on attaching. */
  ring(): void;
  /** Blocks the thread until rung, at most `timeoutMs`. May return early: the caller looks again. */
  park(timeoutMs?: number): void;
  /** The same without blocking the event loop, until rung or `signal` fires. Never rejects. */
  parked(signal?: AbortSignal): Promise<void>;
  /** This side has attached, left or failed: for who manages the ring. */
  changed?(): void;
}

/** Between processes of one kernel: the attention words are the futexes. */
export class FutexBell implements Bell {
  protected readonly memory: SharedMemory;
  protected readonly mine: SideOffsets;
  private readonly theirs: SideOffsets;
  private readonly sleeper: Sleeper;

  constructor(memory: SharedMemory, mine: SideOffsets, theirs: SideOffsets) {
    this.memory = memory;
    this.mine = mine;
    this.theirs = theirs;
    this.sleeper = new Sleeper(memory, mine.attention);
  }

  ring(): void {
    this.memory.futexWake(this.theirs.attention);
  }

  park(timeoutMs?: number): void {
    this.sleeper.sleep(ASLEEP, timeoutMs);
  }

  async parked(signal?: AbortSignal, timeoutMs?: number): Promise<void> {
    await this.sleeper.slept(ASLEEP, timeoutMs, signal, () => this.wakeSelf());
  }

  private wakeSelf(): void {
    const words = new Int32Array(this.memory.buffer);
    Atomics.compareExchange(words, this.mine.attention / 4, ASLEEP, AWAKE);
  }

  [Symbol.dispose](): void {
    this.sleeper.close(() => this.wakeSelf());
  }
}

/** A bell that goes through a daemon may get lost with it: a sleeper looks again this often. */
const RELAYED_PARK_MS = 1000;

/** Of a channel that a daemon manages: it relays between kernels and wants to know of changes. */
export class ManagedBell extends FutexBell {
  private readonly descriptor: Descriptor;
  /** Where the ring's own memory can hold no futex. */
  private readonly page: { memory: SharedMemory; sleeper: Sleeper; at: number } | undefined;
  /** Of the page's word at the end of the last sleep: a bell since then ends the next one at once. */
  private heard = 0;
  readonly relayed: boolean;
  private fifo: number | undefined;

  constructor(memory: SharedMemory, mine: SideOffsets, theirs: SideOffsets, descriptor: Descriptor) {
    super(memory, mine, theirs);
    this.descriptor = descriptor;
    this.relayed = descriptor.peer === 'bell';
    const { sleep } = descriptor;
    if (sleep === undefined) return;
    const page = SharedMemory.open(sleep.path);
    this.page = { memory: page, sleeper: new Sleeper(page, sleep.offset), at: sleep.offset / 4 };
    this.heard = this.page.sleeper.value();
  }

  override ring(): void {
    if (this.relayed) this.tell();
    else super.ring();
  }

  changed(): void {
    this.tell();
  }

  override park(timeoutMs?: number): void {
    if (this.page === undefined) {
      super.park(this.limit(timeoutMs));
      return;
    }
    this.page.sleeper.sleep(this.heard, this.limit(timeoutMs));
    this.heard = this.page.sleeper.value();
  }

  override async parked(signal?: AbortSignal): Promise<void> {
    const { page } = this;
    if (page === undefined) return await super.parked(signal, this.limit(undefined));
    await page.sleeper.slept(this.heard, this.limit(undefined), signal, () => this.interrupt());
    this.heard = page.sleeper.value();
  }

  private interrupt(): void {
    const { memory, at } = this.page!;
    Atomics.add(new Int32Array(memory.buffer), at, 1);
  }

  private limit(timeoutMs: number | undefined): number | undefined {
    return this.relayed ? Math.min(timeoutMs ?? RELAYED_PARK_MS, RELAYED_PARK_MS) : timeoutMs;
  }

  private tell(): void {
    try {
      // For reading too, so that writing is no error while no daemon runs.
      this.fifo ??= openSync(this.descriptor.bell, constants.O_RDWR | constants.O_NONBLOCK);
      writeSync(this.fifo, `${this.descriptor.number}\n`);
    } catch {
      // A full FIFO has been told enough, and a sleeper that was not reached looks again by itself.
    }
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    if (this.fifo !== undefined) closeSync(this.fifo);
    this.fifo = undefined;
    if (this.page === undefined) return;
    this.page.sleeper.close(() => this.interrupt());
    this.page.memory[Symbol.dispose]();
  }
}
