/**
 * What guests send, taken at a bounded pace: every guest together get a fixed share of this process, each the same, and one
 * that sends more is not read until its next turn. So a flood ends in the guest, in the buffers of its own line.
 */
import { type Clock, systemClock } from '../sys/clock.ts';
import { Flag, type Frame, FrameDecoder, MAX_BARE, MAX_GREETING, MAX_TO_HOST, SLOT_BYTES, ToHost } from './protocol.ts';

/** A frame costs one unit and one more for so much of it that was looked at: about two microseconds of work a unit. */
const BYTES_PER_UNIT = 4096;
/** One that tells of a slot costs as much as copying it. */
const SLOT_UNITS = SLOT_BYTES / 8192;
/** Output that is for nobody costs what reading it did: no credit bounds how much of it comes. */
const STRAY_BYTES_PER_UNIT = 512;
/** Of a frame with a text in it, which is cleaned, and judged by; or with names and values. */
const TEXT_UNITS = 8;
const TEXTS: ReadonlySet<number> = new Set([
  ...[ToHost.result, ToHost.exited, ToHost.trouble],
  ...[ToHost.hello, ToHost.session, ToHost.snapshot],
]);
/** Files that are watched are put together from it: copied, kept, and read as text. */
const SNAPSHOT_BYTES_PER_UNIT = 512;
/** What all guests that send much get together, in units a second: a tenth of a CPU. */
const SHARED_RATE = 50_000;
/** What any guest gets without having to share, in units a second. */
const OWN_RATE = 4_000;
/** What a guest may save up. */
const BURST = 512;
/** How often those that send more are given their share. */
const TURN_MS = 5;
/** Turns that came late, because the machine is busy, are made up for only so far. */
const MAX_TURN_MS = 50;
/** However few units: a turn of one guest ends after so long. */
const SLICE_MS = 2;

/** Shares what this process does for guests among those that want more than each may have anyway. */
export class Turns {
  readonly #clock: Clock;
  readonly #busy = new Set<Inbox>();
  #lastAt = 0;
  #armed = false;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.monotonic();
  }

  /** From now on `inbox` gets its share until it has saved up again. */
  join(inbox: Inbox): void {
    if (this.#busy.size === 0) this.#lastAt = this.#clock.monotonic();
    this.#busy.add(inbox);
    this.#arm();
  }

  leave(inbox: Inbox): void {
    this.#busy.delete(inbox);
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#clock.after(TURN_MS, () => {
      this.#armed = false;
      this.#turn();
      if (this.#busy.size > 0) this.#arm();
    });
  }

  #turn(): void {
    const now = this.#clock.monotonic();
    const elapsed = Math.min(MAX_TURN_MS, Math.max(0, now - this.#lastAt));
    this.#lastAt = now;
    const share = ((elapsed / 1000) * SHARED_RATE) / Math.max(1, this.#busy.size);
    for (const inbox of [...this.#busy]) if (inbox.turn(share)) this.#busy.delete(inbox);
  }
}

/** Of this process. */
const everybody = new Turns();

export interface InboxOptions {
  handle(frame: Frame): void;
  /** Bytes came that are no frame. */
  onGarbage(): void;
  /** The end of a turn. */
  onPause(): void;
  /** Stop reading the stream, or go on. */
  hold(held: boolean): void;
  turns?: Turns | undefined;
}

/** What came on one line and is not handled yet: at most one chunk, because the stream is held while there is something. */
export class Inbox {
  readonly #options: InboxOptions;
  readonly #turns: Turns;
  readonly #decoder = new FrameDecoder(MAX_GREETING, false);
  #units = BURST;
  #filledAt: number;
  #isBusy = false;
  #held = false;
  #closed = false;

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#turns = options.turns ?? everybody;
    this.#filledAt = this.#turns.now();
  }

  /** The guest has answered: from here on all that comes are frames. `isBare`: it has agreed that output may be bare. */
  greeted(isBare: boolean): void {
    this.#decoder.settle(MAX_TO_HOST, isBare ? MAX_BARE : 0);
  }

  push(chunk: Uint8Array): void {
    if (this.#closed) return;
    this.#decoder.feed(chunk);
    if (this.#held) return;
    if (!this.#isBusy) {
      const now = this.#turns.now();
      this.#units = Math.min(BURST, this.#units + (Math.max(0, now - this.#filledAt) / 1000) * OWN_RATE);
      this.#filledAt = now;
    }
    this.#work(Infinity);
  }

  /** Gives it `units` more, and handles what waits. Whether it has saved up again, and leaves. */
  turn(units: number): boolean {
    this.#units = Math.min(BURST, this.#units + units);
    if (this.#held) this.#work(SLICE_MS);
    if (this.#closed) return true;
    if (this.#held || this.#units < BURST) return false;
    this.#isBusy = false;
    this.#filledAt = this.#turns.now();
    return true;
  }

  /** Handles all that is here at once, without regard to the pace: for the last words of a guest. */
  drain(): void {
    if (this.#closed) return;
    this.#units = Infinity;
    this.#work(Infinity);
  }

  /** What came last had so many bytes, and they were for nobody. */
  chargeStray(bytes: number): void {
    this.#units -= bytes / STRAY_BYTES_PER_UNIT;
  }

  /** Drops what is here. */
  close(): void {
    this.#closed = true;
    this.#turns.leave(this);
  }

  #work(sliceMs: number): void {
    const decoder = this.#decoder;
    const { skipped } = decoder;
    const begun = performance.now();
    let isEmpty = false;
    while (!this.#closed && !isEmpty && this.#units > 0 && performance.now() - begun < sliceMs) {
      const { work } = decoder;
      const frame = decoder.next();
      this.#units -= 1 + (decoder.work - work) / BYTES_PER_UNIT;
      if (frame === undefined) isEmpty = true;
      else if (frame !== 'futile') {
        if (frame.flags & Flag.memory) this.#units -= SLOT_UNITS;
        if (TEXTS.has(frame.type)) this.#units -= TEXT_UNITS;
        if (frame.type === ToHost.snapshot) this.#units -= frame.payload.length / SNAPSHOT_BYTES_PER_UNIT;
        this.#options.handle(frame);
      }
    }
    if (decoder.skipped > skipped && !this.#closed) this.#options.onGarbage();
    this.#options.onPause();
    if (this.#closed) return;
    // Before it has used up all: one that sends much, but no more than its share, is never held.
    if (this.#units < BURST / 2 && !this.#isBusy) {
      this.#isBusy = true;
      this.#turns.join(this);
    }
    if (this.#held === !isEmpty) return;
    this.#held = !isEmpty;
    this.#options.hold(this.#held);
  }
}
