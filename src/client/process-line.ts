/** The socket of a process, which another one may take the place of, and what goes to the process on it. */
import { type Readable, Writable } from 'node:stream';
import { WebSocket } from 'ws';
import { CHANNEL, frame, HIGH_WATER_BYTES } from '../core/stream-frames.ts';
import type { StreamCommand } from '../instance/contract.ts';
import { KeptInput } from './kept-input.ts';

/** Input in one message: short enough that the daemon passes one on while the next one comes. */
const INPUT_BYTES = 128 * 1024;
/** So many of these wait for the kernel at once, however much is written. */
const MOST_UNDER_WAY = 4;
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
  #isOver = false;
  /** Its end was written. */
  #hasEnded = false;
  /** Of what was written last, what is not on its way; and its writer, who waits until all of it is with the kernel. */
  #rest: Buffer[] = [];
  #done: (() => void) | undefined;
  /** Messages that are not with the kernel, on the present socket. */
  #underWay = 0;
  #sockets = 0;

  constructor(line: Line) {
    this.#line = line;
    this.stream = new Writable({
      highWaterMark: HIGH_WATER_BYTES,
      write: (chunk: Buffer, _encoding, done) => this.#take(piecesOf(chunk), done),
      final: (done) => {
        this.#hasEnded = true;
        this.#take([Buffer.alloc(0)], done);
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
    this.#anew();
    for (const piece of again) this.#send(frame(CHANNEL.stdin, piece));
    if (this.#hasEnded && this.#rest.length === 0) this.#send(frame(CHANNEL.stdin, Buffer.alloc(0)));
    // What it was when the daemon went may not have come to the guest.
    if (this.#size !== undefined) this.command(this.#size);
    for (const command of this.#commands.splice(0)) this.command(command);
    this.#pass();
    return true;
  }

  /** No other daemon comes: what is written is lost, as in a pipe that nobody reads. */
  end(): void {
    this.#isHeld = false;
    this.#isOver = true;
    this.#anew();
    this.#pass();
  }

  get #isOpen(): boolean {
    return this.#line.socket.readyState === WebSocket.OPEN;
  }

  #anew(): void {
    this.#sockets += 1;
    this.#underWay = 0;
  }

  #take(pieces: Buffer[], done: () => void): void {
    this.#rest = pieces;
    this.#done = done;
    this.#pass();
  }

  /** Sends as much as may be on its way, copied once: whoever wrote it may use its memory again. */
  #pass(): void {
    if (this.#isOver) this.#rest = [];
    while (!this.#isHeld && this.#isOpen && this.#rest.length > 0 && this.#underWay < MOST_UNDER_WAY) {
      const message = frame(CHANNEL.stdin, this.#rest.shift()!);
      this.kept.add(message.subarray(1));
      this.#send(message);
    }
    if (this.#rest.length > 0 || this.#underWay > 0) return;
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }

  #send(message: Buffer): void {
    const sockets = this.#sockets;
    this.#underWay += 1;
    // The callback comes once the bytes are with the kernel, which is the back-pressure.
    this.#line.socket.send(message, () => {
      if (sockets !== this.#sockets) return;
      this.#underWay -= 1;
      this.#pass();
    });
  }
}

function piecesOf(chunk: Buffer): Buffer[] {
  const count = Math.ceil(chunk.length / INPUT_BYTES);
  return Array.from({ length: count }, (_, at) => chunk.subarray(at * INPUT_BYTES, (at + 1) * INPUT_BYTES));
}
