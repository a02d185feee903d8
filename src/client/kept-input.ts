/** Input of a process until the daemon has passed it on: what another daemon is told again. */

/** More than that waits nowhere for a process that does not read; a daemon that never tells what it has passed on is of an earlier version. */
const MOST_BYTES = 8 * 2 ** 20;

/** INVARIANT: what it holds are the last bytes that were added, without a gap, unless there were too many. */
export class KeptInput {
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** Of what the present daemon was sent, so much is passed on. */
  #taken = 0;
  #isWhole = true;

  /** Whether nothing that may be needed was dropped. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  add(piece: Buffer): void {
    if (!this.#isWhole) return;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes <= MOST_BYTES) return;
    this.#isWhole = false;
    this.#pieces = [];
  }

  /** The daemon has passed on so many bytes of what it was sent. */
  taken(total: number): void {
    for (let left = total - this.#taken; left > 0 && this.#pieces.length > 0; ) {
      const first = this.#pieces[0]!;
      const part = Math.min(left, first.length);
      if (part === first.length) this.#pieces.shift();
      else this.#pieces[0] = first.subarray(part);
      this.#bytes -= part;
      left -= part;
    }
    this.#taken = Math.max(this.#taken, total);
  }

  /** For another daemon, which counts anew. */
  again(): readonly Buffer[] {
    this.#taken = 0;
    return this.#pieces;
  }
}
