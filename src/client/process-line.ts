/** The socket of a process, which another one may take the place of, and what goes to the process on it. */
import { type Readable, Writable } from 'node:stream';
import { WebSocket } from 'ws';
import { CHANNEL, frame, HIGH_WATER_BYTES } from '../core/stream-frames.ts';
import type { StreamCommand } from '../instance/contract.ts';
import { KeptInput } from './kept-input.ts';

/** Input in one message: short enough that the daemon passes one on while the next one comes. */
const INPUT_BYTES = 128 * 1024;
/** More commands than that nobody gives while a daemon changes. */
const MOST_COMMANDS = 64;

/** INVARIANT: the socket is paused while a channel's reader is behind. */
export class Line {
  #socket: WebSocket;
  readonly #full = new Set<Readable>();

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  get socket(): WebSocket {
    return this.#socket;
  }

  /** The one before is closed. */
  replace(socket: WebSocket): void {
    this.#socket = socket;
    if (this.#full.size > 0) socket.pause();
  }

  hold(channel: Readable): void {
    this.#full.add(channel);
    this.#socket.pause();
  }

  release(channel: Readable): void {
    if (this.#full.delete(channel) && this.#full.size === 0) this.#socket.resume();
  }
}

/** What goes to a process. INVARIANT: what no daemon has passed on yet is kept; while there is none, writers wait. */
export class ProcessInput {
  readonly kept = new KeptInput();
  readonly stream: Writable;
  readonly #line: Line;
  #commands: StreamCommand[] = [];
  /** The newest. */
  #size: StreamCommand | undefined;
  #isHeld = false;
  /** Calls back a writer that waits. */
  #release: (() => void) | undefined;
  /** Its end was written. */
  #hasEnded = false;

  constructor(line: Line) {
    this.#line = line;
    this.stream = new Writable({
      highWaterMark: HIGH_WATER_BYTES,
      write: (chunk: Buffer, _encoding, done) => {
        const pieces = piecesOf(chunk);
        // Whoever wrote it may use its memory again.
        for (const piece of pieces) this.kept.add(Buffer.from(piece));
        this.#send(pieces, done);
      },
      final: (done) => {
        this.#hasEnded = true;
        this.#send([Buffer.alloc(0)], done);
      },
    });
  }

  command(command: StreamCommand): void {
    if ('resize' in command) this.#size = command;
    if (this.#isHeld || !this.#isOpen) {
      if (this.#commands.length < MOST_COMMANDS) this.#commands.push(command);
    } else this.#line.socket.send(JSON.stringify(command));
  }

  /** The daemon passes nothing on any more: what is written from now on is for the next one. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Sends to the next daemon what it is to pass on, from byte `from` of all on where the guest has said so. False when that is not held. */
  goOn(from?: number): boolean {
    const again = this.kept.again(from);
    if (again === undefined) return false;
    this.#isHeld = false;
    const done = this.#release;
    this.#release = undefined;
    const pieces = [...again, ...(this.#hasEnded ? [Buffer.alloc(0)] : [])];
    this.#send(pieces, () => done?.());
    // What it was when the daemon went may not have come to the guest.
    if (this.#size !== undefined) this.command(this.#size);
    for (const command of this.#commands.splice(0)) this.command(command);
    return true;
  }

  /** No other daemon comes: what is written is lost, as in a pipe that nobody reads. */
  end(): void {
    this.#isHeld = false;
    this.#release?.();
    this.#release = undefined;
  }

  get #isOpen(): boolean {
    return this.#line.socket.readyState === WebSocket.OPEN;
  }

  #send(pieces: readonly Buffer[], done: () => void): void {
    if (this.#isHeld) this.#release = done;
    else if (!this.#isOpen || pieces.length === 0) done();
    else this.#sendNow(pieces, done);
  }

  #sendNow(pieces: readonly Buffer[], done: () => void): void {
    // The callback comes once the bytes are with the kernel, which is the back-pressure.
    const last = pieces.length - 1;
    for (const [at, piece] of pieces.entries())
      this.#line.socket.send(frame(CHANNEL.stdin, piece), () => {
        if (at === last) done();
      });
  }
}

function piecesOf(chunk: Buffer): Buffer[] {
  const count = Math.ceil(chunk.length / INPUT_BYTES);
  return Array.from({ length: count }, (_, at) => chunk.subarray(at * INPUT_BYTES, (at + 1) * INPUT_BYTES));
}
