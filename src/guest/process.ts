import { Writable } from 'node:stream';
import { getSystemErrorMap } from 'node:util';
import type { LineSource, LineWriter } from './line.ts';
import {
  encodeFrame,
  Flag,
  HEADER_BYTES,
  MAX_TO_GUEST,
  OUTPUT_CREDIT,
  STDIN_CREDIT,
  ToGuest,
  u16,
  u32,
} from './protocol.ts';
import { OutputStream } from './streams.ts';

/** How a guest process ended. `failed`: it never started (`value` is the errno) or the guest was lost (`value` is 0). */
export interface GuestExit {
  kind: 'exit' | 'signal' | 'failed';
  /** Exit code, signal number, or Linux errno. */
  value: number;
  /** For people; empty for `exit` and `signal`. */
  message: string;
}

/** Output credit is given back in pieces of this size, to spare the narrow line towards the guest. */
const CREDIT_STEP = 16_384;

/**
 * A process (or a file transfer) in the guest. INVARIANTS: at most STDIN_CREDIT bytes of stdin are on their way or in
 * the guest; output that nobody reads stops the process, not the line; the streams end before `exited` resolves.
 */
export class GuestProcess implements LineSource {
  readonly session: number;
  /** The process id in the guest; rejects when it could not be started. */
  readonly started: Promise<number>;
  /** Data for the process; backs up while the process does not read. */
  readonly stdin: Writable;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Never rejects. */
  readonly exited: Promise<GuestExit>;
  /** Resolves at the first output or end of output. */
  readonly firstOutput: Promise<void>;

  readonly #line: LineWriter;
  readonly #onForget: () => void;
  #resolveStarted!: (pid: number) => void;
  #rejectStarted!: (error: Error) => void;
  #resolveExited!: (exit: GuestExit) => void;
  #resolveFirstOutput!: () => void;
  #exit: GuestExit | undefined;
  #pid = 0;
  #stdinCredit = STDIN_CREDIT;
  #pending: { data: Buffer; at: number; done: (error?: Error | null) => void } | undefined;
  #closing: ((error?: Error | null) => void) | undefined;
  #outputAllowed = OUTPUT_CREDIT;
  #owed = 0;
  #buffered = 0;
  #forgotten = false;

  /** Made by GuestLink only. `onForget` is told once when the session is given up. */
  constructor(session: number, line: LineWriter, onForget: () => void) {
    this.session = session;
    this.#line = line;
    this.#onForget = onForget;
    this.started = new Promise((resolve, reject) => {
      this.#resolveStarted = resolve;
      this.#rejectStarted = reject;
    });
    this.started.catch(() => {});
    this.exited = new Promise((resolve) => {
      this.#resolveExited = resolve;
    });
    this.firstOutput = new Promise((resolve) => {
      this.#resolveFirstOutput = resolve;
    });
    this.stdout = new OutputStream((bytes) => this.#consumed(bytes));
    this.stderr = new OutputStream((bytes) => this.#consumed(bytes));
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (this.#exit !== undefined || chunk.length === 0) return done(); // like a pipe into `true`: the rest is lost
        this.#pending = { data: chunk, at: 0, done };
        this.#line.ready(this);
      },
      final: (done) => {
        if (this.#exit !== undefined) return done();
        this.#closing = done;
        this.#line.ready(this);
      },
    });
    this.stdin.on('error', () => {}); // a lost guest is told through `exited`
  }

  /** Process id in the guest; 0 before it started and for file transfers. */
  get pid(): number {
    return this.#pid;
  }

  /** How it ended, once it has. */
  get exit(): GuestExit | undefined {
    return this.#exit;
  }

  /** Sends a signal (number) to the process group. Does nothing after the end. */
  signal(number: number): void {
    if (this.#exit === undefined) this.#line.control(encodeFrame(ToGuest.signal, this.session, u32(number)));
  }

  /** New size of the terminal, in characters. */
  resize(rows: number, columns: number): void {
    if (this.#exit === undefined) this.#line.control(encodeFrame(ToGuest.resize, this.session, u16(rows, columns)));
  }

  /** Gives the session up: frees it in the guest after its end; a live process group gets SIGHUP, after 2 s SIGKILL. */
  forget(): void {
    if (this.#forgotten) return;
    this.#forgotten = true;
    this.#line.control(encodeFrame(ToGuest.forget, this.session));
    this.#onForget();
    this.finish({ kind: 'failed', value: 0, message: 'the session was given up' });
  }

  // What follows is called by GuestLink.

  nextFrame(room: number): Buffer | undefined {
    const pending = this.#pending;
    if (pending === undefined) {
      const closing = this.#closing;
      if (closing === undefined) return undefined;
      this.#closing = undefined;
      process.nextTick(closing);
      return encodeFrame(ToGuest.stdin, this.session, undefined, Flag.eof);
    }
    const size = Math.min(pending.data.length - pending.at, this.#stdinCredit, room - HEADER_BYTES, MAX_TO_GUEST);
    if (size <= 0) return undefined;
    const part = pending.data.subarray(pending.at, pending.at + size);
    pending.at += size;
    this.#stdinCredit -= size;
    if (pending.at === pending.data.length) {
      this.#pending = undefined;
      process.nextTick(pending.done);
    }
    return encodeFrame(ToGuest.stdin, this.session, part);
  }

  /** Stdin credit from the guest. False when it is more than there can be. */
  credit(bytes: number): boolean {
    if (bytes > STDIN_CREDIT - this.#stdinCredit) return false;
    this.#stdinCredit += bytes;
    this.#line.ready(this);
    return true;
  }

  /** Output from the guest. False when the guest had no credit for it; the excess is dropped. */
  output(stream: 'stdout' | 'stderr', data: Buffer, eof: boolean): boolean {
    this.#resolveFirstOutput();
    const allowed = data.length <= this.#outputAllowed && this.#exit === undefined;
    if (allowed && data.length > 0) {
      this.#outputAllowed -= data.length;
      this.#buffered += data.length;
      this[stream].accept(data);
    }
    if (eof) this[stream].finish();
    return allowed;
  }

  markStarted(pid: number): void {
    this.#pid = pid;
    this.#resolveStarted(pid);
  }

  /** A new connection: the guest forgot its credits and will tell its own. */
  connectionReset(): void {
    this.#stdinCredit = 0;
    this.#outputAllowed = 0;
    this.#owed = 0;
  }

  /** Grants what the buffers here have room for; after a connection reset. */
  grantOutput(): void {
    if (this.#exit !== undefined || this.#outputAllowed > 0) return;
    const room = OUTPUT_CREDIT - this.#buffered;
    if (room <= 0) return;
    this.#outputAllowed = room;
    this.#line.control(encodeFrame(ToGuest.credit, this.session, u32(room)));
  }

  finish(exit: GuestExit): void {
    if (this.#exit !== undefined) return;
    this.#exit = exit;
    this.#line.remove(this);
    if (this.#pid === 0) this.#rejectStarted(new Error(exit.message || 'the process ended before it started'));
    this.stdout.finish();
    this.stderr.finish();
    const pending = this.#pending?.done;
    const closing = this.#closing;
    this.#pending = undefined;
    this.#closing = undefined;
    pending?.();
    closing?.();
    this.#resolveExited(exit);
  }

  #consumed(bytes: number): void {
    this.#buffered -= bytes;
    this.#owed += bytes;
    if (this.#owed < CREDIT_STEP || this.#exit !== undefined) return;
    this.#outputAllowed += this.#owed;
    this.#line.control(encodeFrame(ToGuest.credit, this.session, u32(this.#owed)));
    this.#owed = 0;
  }
}

/** What an errno of the guest means, in the words of the C library: `no such file or directory`. */
export function errnoText(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[1] ?? `errno ${errno}`;
}
