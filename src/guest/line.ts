import { LINE_WINDOW } from './protocol.ts';

/** Bulk data waits for this much room, so that headers do not eat the window. */
const MIN_BULK_ROOM = 256;

/** Something with bulk bytes to send when the line has room: the stdin of a process. */
export interface LineSource {
  /** The next frame of at most `room` bytes (at least 256), or undefined when there is nothing to send for now. */
  nextFrame(room: number): Buffer | undefined;
}

/**
 * The way towards the guest. INVARIANTS: never more than LINE_WINDOW bytes are unacknowledged, because a UML line that
 * is left unread for longer stops for ever; control frames go before bulk data and in order; sources take turns.
 */
export class LineWriter {
  readonly #write: (bytes: Buffer) => void;
  readonly #control: Buffer[] = [];
  readonly #sources = new Set<LineSource>();
  #sent = 0;
  #acked = 0;
  #open = false;

  constructor(write: (bytes: Buffer) => void) {
    this.#write = write;
  }

  /** Starts anew after the guest answered a HELLO: counters at zero, nothing queued. */
  open(): void {
    this.close();
    this.#open = true;
  }

  close(): void {
    this.#open = false;
    this.#control.length = 0;
    this.#sent = 0;
    this.#acked = 0;
  }

  /** Queues control frames, to be sent whole and in this order. */
  control(...frames: Buffer[]): void {
    if (!this.#open) return;
    for (const frame of frames) this.#control.push(frame);
    this.pump();
  }

  /** Says that `source` has (or may again have) something to send. */
  ready(source: LineSource): void {
    this.#sources.add(source);
    this.pump();
  }

  remove(source: LineSource): void {
    this.#sources.delete(source);
  }

  /** Takes the guest's count of bytes read, modulo 2^32. False when it acknowledges what was never sent. */
  ack(count: number): boolean {
    const delta = (count - this.#acked) >>> 0;
    if (delta > (this.#sent - this.#acked) >>> 0) return false;
    this.#acked = count;
    this.pump();
    return true;
  }

  /** Sends what the window allows. */
  pump(): void {
    if (!this.#open) return;
    const batch: Buffer[] = [];
    let room = LINE_WINDOW - ((this.#sent - this.#acked) >>> 0);
    const take = (frame: Buffer) => {
      batch.push(frame);
      room -= frame.length;
      this.#sent = (this.#sent + frame.length) >>> 0;
    };
    while (this.#control.length > 0 && this.#control[0]!.length <= room) take(this.#control.shift()!);
    if (this.#control.length === 0) {
      for (const source of this.#sources) {
        if (room < MIN_BULK_ROOM) break;
        this.#sources.delete(source);
        const frame = source.nextFrame(room);
        if (frame === undefined) continue;
        take(frame);
        this.#sources.add(source); // to the end of the queue, and this loop comes round to it again
      }
    }
    if (batch.length > 0) this.#write(batch.length === 1 ? batch[0]! : Buffer.concat(batch));
  }
}
