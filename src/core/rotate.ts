/**
 * An append-only file of limited size: at the limit it becomes FILE.1 and a new one begins. Writing never throws and never
 * grows memory without bound: what a full disk refuses is dropped, counted, and told once there is room again.
 */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

export interface RotatingFileOptions {
  path: string;
  /** The file is rotated before it would grow beyond this. */
  maxBytes: number;
  /** What to write about `dropped` records once writing works again. */
  describeDrop(dropped: number): Buffer;
}

export class RotatingFile {
  readonly #options: RotatingFileOptions;
  #file: number | undefined;
  #size = 0;
  #dropped = 0;

  constructor(options: RotatingFileOptions) {
    this.#options = options;
  }

  get path(): string {
    return this.#options.path;
  }
  /** Records lost to write errors since they last worked. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Appends `data`, which holds `records` whole records. */
  append(data: Buffer, records = 1): void {
    const room = this.#dropped > 0 ? Buffer.concat([this.#options.describeDrop(this.#dropped), data]) : data;
    try {
      this.#rotateFor(room.length);
      this.#writeAll(room);
      this.#dropped = 0;
    } catch {
      this.#dropped += records;
      // Whatever is wrong with this file may not be with the one that is there next time.
      this.close();
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #rotateFor(bytes: number): void {
    const { path, maxBytes } = this.#options;
    if (this.#file === undefined) {
      this.#file = openSync(path, 'a', 0o600);
      this.#size = fstatSync(this.#file).size;
    }
    if (this.#size === 0 || this.#size + bytes <= maxBytes) return;
    this.close();
    renameSync(path, `${path}.1`);
    this.#file = openSync(path, 'a', 0o600);
    this.#size = 0;
  }

  #writeAll(data: Buffer): void {
    let at = 0;
    try {
      while (at < data.length) at += writeSync(this.#file!, data, at);
    } finally {
      this.#size += at;
      // A record that was cut off by a full disk must not join the next one.
      if (at > 0 && at < data.length) this.#endLine();
    }
  }

  #endLine(): void {
    try {
      this.#size += writeSync(this.#file!, '\n');
    } catch {
      // The reader skips a line it cannot parse.
    }
  }
}
