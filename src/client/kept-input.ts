/** Input of a process until its guest surely has it: what another daemon is told again. */

/** More than that waits nowhere for a process that does not read; a daemon that never tells what it has passed on is of an earlier version. */
const MOST_BYTES = 8 * 2 ** 20;
/** So much of what a daemon has passed on may be lost with it when it is killed: more than any guest's line has under way. */
const BEHIND_BYTES = 2 ** 20;

/** INVARIANT: what it holds are the last bytes that were added, without a gap, unless there were too many. */
export class KeptInput {
  #pieces: Buffer[] = [];
  /** Offsets in all that was ever added: of the first byte that is held, and behind the last. */
  #begin = 0;
  #end = 0;
  /** Where what the present daemon was sent begins, and how far it has passed that on. */
  #sent = 0;
  #passed = 0;
  #isWhole = true;

  /** Whether nothing that may be needed was dropped. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  add(piece: Buffer): void {
    if (!this.#isWhole) return;
    this.#pieces.push(piece);
    this.#end += piece.length;
    if (this.#end - this.#passed <= MOST_BYTES) return;
    this.#isWhole = false;
    this.#pieces = [];
  }

  /** The daemon has passed on so many bytes of what it was sent. */
  taken(total: number): void {
    this.#passed = Math.min(this.#end, Math.max(this.#passed, this.#sent + total));
    for (let first = this.#pieces[0]; first !== undefined; first = this.#pieces[0]) {
      if (this.#begin + first.length > this.#passed - BEHIND_BYTES) return;
      this.#pieces.shift();
      this.#begin += first.length;
    }
  }

  /** For another daemon, which counts anew: from byte `from` of all on; undefined when that is not held any more, or never was. */
  again(from = this.#passed): readonly Buffer[] | undefined {
    if (!this.#isWhole || from < this.#begin || from > this.#end) return undefined;
    this.#sent = from;
    this.#passed = from;
    let at = this.#begin;
    return this.#pieces.flatMap((piece) => {
      const skipped = Math.max(0, from - at);
      at += piece.length;
      return skipped >= piece.length ? [] : [piece.subarray(skipped)];
    });
  }
}
