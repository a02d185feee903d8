/** Files of a guest that it sends again and again, for telemetry. */
import type { LineWriter, Request } from './line.ts';
import { type Snapshot, SnapshotAssembler, watchPayload } from './messages.ts';
import { encodeMessage, Flag, ToGuest } from './protocol.ts';

/** The files of a guest that are watched: at most one list of them at a time. */
export class FileWatch {
  readonly #line: LineWriter;
  #current: { paths: ReadonlySet<string>; intervalMs: number; callback: (snapshot: Snapshot) => void } | undefined;
  /** The last WATCH; a newer one replaces it while it waits. */
  #request: Request | undefined;
  #snapshots = new SnapshotAssembler();

  constructor(line: LineWriter) {
    this.#line = line;
  }

  /** False when the request had no room. */
  start(
    paths: readonly string[],
    intervalMs: number,
    callback: (snapshot: Snapshot) => void,
  ): (() => void) | undefined {
    const watch = { paths: new Set(paths), intervalMs, callback };
    if (!this.#send(watchPayload(paths, intervalMs))) return undefined;
    this.#current = watch;
    return () => {
      if (this.#current !== watch) return;
      this.#current = undefined;
      // One that has no room costs the guest the reading of files, and what it sends is dropped.
      this.#send(Buffer.alloc(0));
    };
  }

  /** After a HELLO, which stopped it. */
  resume(): void {
    this.#request = undefined;
    this.#snapshots = new SnapshotAssembler();
    // Made anew: a few bytes kept for long would keep the whole block that Node cut them from.
    if (this.#current !== undefined) this.#send(watchPayload([...this.#current.paths], this.#current.intervalMs));
  }

  end(): void {
    this.#current = undefined;
  }

  /** A SNAPSHOT frame. False when it breaks a rule. */
  receive(payload: Buffer, flags: number): boolean {
    const snapshot = this.#snapshots.push(payload, (flags & Flag.more) !== 0);
    if (snapshot === 'broken') return false;
    if (snapshot !== undefined && this.#current?.paths.has(snapshot.path)) this.#current.callback(snapshot);
    return true;
  }

  #send(payload: Buffer): boolean {
    if (this.#request !== undefined) this.#line.withdraw(this.#request);
    this.#request = this.#line.request(encodeMessage(ToGuest.watch, 0, payload));
    return this.#request !== undefined;
  }
}
