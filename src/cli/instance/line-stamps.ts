/** The time before each line of a log, as `pk logs -t` shows it. */

/** A line that goes on for longer is shown before its end has come. */
const MOST_HELD_BYTES = 64 * 1024;
const LINE_FEED = 10;

type Stream = 'out' | 'err';

interface Unfinished {
  parts: Buffer[];
  bytes: number;
  /** Some of the line has been shown. */
  begun: boolean;
}

/**
 * Puts before each line the time at which its first byte came. Lines are given out whole, so that what one stream says never
 * stands inside a line of the other.
 */
export class LineStamps {
  readonly #streams = new Map<Stream, Unfinished>();

  /** What can be shown now that a piece of the log came. */
  push({ t, s }: { t: string; s: Stream }, bytes: Buffer): Buffer {
    const line = this.#streams.get(s) ?? { parts: [], bytes: 0, begun: false };
    this.#streams.set(s, line);
    // A console's pieces have no time.
    const stamp = Buffer.from(t === '' ? '' : `${t} `);
    const shown: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const feed = bytes.indexOf(LINE_FEED, at);
      const end = feed < 0 ? bytes.length : feed + 1;
      if (line.parts.length === 0 && !line.begun) line.parts.push(stamp);
      line.parts.push(bytes.subarray(at, end));
      line.bytes += end - at;
      at = end;
      if (feed < 0 && line.bytes < MOST_HELD_BYTES) continue;
      shown.push(...line.parts);
      line.parts = [];
      line.bytes = 0;
      line.begun = feed < 0;
    }
    return Buffer.concat(shown);
  }

  /** What is left at the end of the log: lines without an end. */
  *rest(): Generator<[Stream, Buffer]> {
    for (const [stream, { parts }] of this.#streams) if (parts.length > 0) yield [stream, Buffer.concat(parts)];
    this.#streams.clear();
  }
}
