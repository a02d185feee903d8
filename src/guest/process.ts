/** A process in a guest as Node code sees it: streams, signals, its exit. */
import { Writable } from 'node:stream';
import { getSystemErrorMap } from 'node:util';
import type { LineWriter } from './line.ts';
import type { LineSource } from './line-source.ts';
import {
  BARE_END_BYTES,
  BARE_LOAN,
  bareFrame,
  encodeFrame,
  Flag,
  HEADER_BYTES,
  OUTPUT_CREDIT,
  SLOT_BYTES,
  SLOT_LEAST,
  ToGuest,
  u16,
  u32,
} from './protocol.ts';
import { OutputStream } from './streams.ts';

/** What a session tells whoever holds it. */
export interface SessionOwner {
  /** It is given up; the guest is still to be told. */
  onForget(): void;
  /** The guest is being told. */
  onTold(): void;
  /** Whether it may have OUTPUT_CREDIT more on its way, because its output is read as it comes. */
  lend(): boolean;
  /** What was lent to it so many times is free again. */
  onReturn(times: number): void;
}

/** How a guest process ended. `failed`: it never started (`value` is the errno) or the guest was lost (`value` is 0). */
export interface GuestExit {
  kind: 'exit' | 'signal' | 'failed';
  /** Exit code, signal number, or Linux errno. */
  value: number;
  /** For people; empty for `exit` and `signal`. */
  message: string;
}

/** Bytes of a session so far, as its guest counts them: of output what it has sent to any host, of input what has come to it. */
export interface Counts {
  stdout: number;
  stderr: number;
  stdin: number;
}

/** Most different signals that can wait to be sent: as many as there are. */
const MAX_SIGNALS = 64;

/** So much input is taken from its writer while earlier input is on its way to the guest, in bytes. */
const STDIN_AHEAD = 524_288;

/** Shorter input is copied into a frame with a sum. */
const BARE_LEAST = 1024;

/** How often credit is lent to one session at most. */
const MAX_LOANS = 3;

/**
 * A process (or a file transfer) in the guest. INVARIANTS: no more bytes of stdin than it takes are on their way or in
 * the guest; output that nobody reads stops the process, not the line; the streams end before `exited` resolves; what waits
 * to be told to the guest is the newest state: which signals, which size, how much credit, whether it is given up.
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

  /** Of one that an earlier manager made, when it was found; undefined else, and where the agent does not count. */
  counts: Counts | undefined;

  /** Bytes of output credit that are lent at once. */
  get #loan(): number {
    return this.#line.takes.bare > 0 ? BARE_LOAN : OUTPUT_CREDIT;
  }

  readonly #line: LineWriter;
  readonly #owner: SessionOwner;
  /** What the guest is still to be told. */
  readonly #signals = new Set<number>();
  #size: Buffer | undefined;
  #granted = 0;
  readonly #states: LineSource = { nextFrame: () => this.#nextState() };
  /** Whether the guest has been sent the request that makes the session. */
  #opened = false;
  #progress = 0;
  #resolveStarted!: (pid: number) => void;
  #rejectStarted!: (error: Error) => void;
  #resolveExited!: (exit: GuestExit) => void;
  #resolveFirstOutput!: () => void;
  #exit: GuestExit | undefined;
  #pid = 0;
  #isElsewhere = false;
  #stdinCredit: number;
  /** What its writer has handed over, `at` bytes of the first of it and `gone` bytes of all of it being on their way. */
  #pending: { data: Buffer[]; at: number; gone: number; done: (error?: Error | null) => void } | undefined;
  #closing: ((error?: Error | null) => void) | undefined;
  #outputAllowed = OUTPUT_CREDIT;
  #owed = 0;
  #buffered = 0;
  /** Bytes of output that were read. */
  #read = 0;
  #loans = 0;
  #forgotten = false;
  #isToldForgotten = false;

  /** Made by GuestLink only. */
  constructor(session: number, line: LineWriter, owner: SessionOwner) {
    this.session = session;
    this.#line = line;
    this.#owner = owner;
    this.#stdinCredit = line.takes.stdin;
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
      highWaterMark: STDIN_AHEAD,
      write: (chunk: Buffer, _encoding, done) => this.#take([chunk], done),
      writev: (chunks, done) =>
        this.#take(
          chunks.map(({ chunk }) => chunk as Buffer),
          done,
        ),
      final: (done) => {
        if (this.#exit !== undefined) return done();
        this.#closing = done;
        this.#line.ready(this);
      },
    });
    this.stdin.on('error', () => {}); // a lost guest is told through `exited`
  }

  /** Whether it began in /, because it could not enter a directory that was only wished for. */
  get isElsewhere(): boolean {
    return this.#isElsewhere;
  }

  /** Process id in the guest; 0 before it started and for file transfers. */
  get pid(): number {
    return this.#pid;
  }

  /** Grows with everything that the guest does for it. */
  get progress(): number {
    return this.#progress;
  }
  /** Whether the guest has to do the next thing: take input, send output, or end. Of file transfers only. */
  get isGuestsTurn(): boolean {
    return this.#buffered === 0 && (this.#pending !== undefined || this.stdin.writableEnded);
  }

  /** Bytes that the guest has of the input that is not passed on as a whole. */
  get begun(): number {
    return this.#pending?.gone ?? 0;
  }

  /** How it ended, once it has. */
  get exit(): GuestExit | undefined {
    return this.#exit;
  }

  /** Sends a signal (number) to the process group; the same one again before it could be sent is one. Does nothing after the end. */
  signal(number: number): void {
    if (this.#exit !== undefined || this.#signals.size >= MAX_SIGNALS) return;
    this.#signals.add(number);
    this.#tell();
  }

  /** New size of the terminal, in characters; replaces one that could not be sent yet. */
  resize(rows: number, columns: number): void {
    if (this.#exit !== undefined) return;
    this.#size = u16(rows, columns);
    this.#tell();
  }

  /** Gives the session up: frees it in the guest after its end; a live process group gets SIGHUP, after 2 s SIGKILL. */
  forget(): void {
    if (this.#forgotten) return;
    this.#forgotten = true;
    this.#owner.onForget();
    this.finish({ kind: 'failed', value: 0, message: 'the session was given up' });
    this.#tell();
  }

  // What follows is called by GuestLink.

  /** The request that makes the session is on its way, or an earlier manager made it. */
  markOpened(): void {
    this.#opened = true;
    this.#tell();
  }

  nextFrame(room: number): Buffer | readonly Buffer[] | undefined {
    const pending = this.#pending;
    if (pending === undefined) {
      const closing = this.#closing;
      if (closing === undefined) return undefined;
      this.#closing = undefined;
      process.nextTick(closing);
      return encodeFrame(ToGuest.stdin, this.session, undefined, Flag.eof);
    }
    const data = pending.data[0]!;
    const left = Math.min(data.length - pending.at, this.#stdinCredit);
    const shares = this.#line.shares && left >= SLOT_LEAST;
    const { bare, payload } = this.#line.takes;
    const isBare = !shares && left >= BARE_LEAST && bare > 0;
    const onLine = isBare ? [room - HEADER_BYTES - BARE_END_BYTES, bare] : [room - HEADER_BYTES, payload];
    const size = Math.min(left, ...(shares ? [SLOT_BYTES] : onLine));
    if (size <= 0) return undefined;
    const part = data.subarray(pending.at, pending.at + size);
    if (shares && !this.#line.share(this, part)) return undefined;
    pending.at += size;
    pending.gone += size;
    this.#line.moved(size);
    this.#stdinCredit -= size;
    if (pending.at === data.length) {
      pending.data.shift();
      pending.at = 0;
    }
    if (pending.data.length === 0) {
      this.#pending = undefined;
      process.nextTick(pending.done);
    }
    if (isBare) return bareFrame(ToGuest.stdin, this.session, part);
    return shares
      ? encodeFrame(ToGuest.stdin, this.session, u32(size), Flag.memory)
      : encodeFrame(ToGuest.stdin, this.session, part);
  }

  /** Stdin credit from the guest. False when it is more than there can be. */
  credit(bytes: number): boolean {
    if (bytes > this.#line.takes.stdin - this.#stdinCredit) return false;
    this.#stdinCredit += bytes;
    this.#progress += 1;
    this.#line.ready(this);
    return true;
  }

  /** Output from the guest. False when the guest had no credit for it; the excess is dropped. */
  output(stream: 'stdout' | 'stderr', data: Buffer, eof: boolean): boolean {
    this.#resolveFirstOutput();
    this.#progress += 1;
    const allowed = data.length <= this.#outputAllowed && this.#exit === undefined;
    if (allowed && data.length > 0) {
      this.#outputAllowed -= data.length;
      this.#buffered += data.length;
      this[stream].accept(data);
      this.#line.moved(data.length);
    }
    if (eof) this[stream].finish();
    return allowed;
  }

  markStarted(pid: number, isElsewhere = false): void {
    this.#pid = pid;
    this.#isElsewhere = isElsewhere;
    this.#resolveStarted(pid);
  }

  /** A new connection: the guest forgot its credits and will tell its own. */
  connectionReset(): void {
    this.#opened = true;
    this.#stdinCredit = 0;
    this.#outputAllowed = 0;
    this.#owed = 0;
    this.#granted = 0;
    this.#size = undefined;
    this.#signals.clear();
  }

  /** Grants what the buffers here have room for; after a connection reset. */
  grantOutput(): void {
    if (this.#exit !== undefined || this.#outputAllowed > 0) return;
    const room = OUTPUT_CREDIT + this.#loan * this.#loans - this.#buffered;
    if (room <= 0) return;
    this.#grant(room);
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
    this.#giveBack();
    this.#resolveExited(exit);
  }

  /** All at once, so that it goes to the guest in one piece, which wakes it once. */
  #take(chunks: readonly Buffer[], done: (error?: Error | null) => void): void {
    const data = chunks.filter(({ length }) => length > 0);
    if (this.#exit !== undefined || data.length === 0) {
      done(); // like a pipe into `true`: the rest is lost
      return;
    }
    this.#pending = { data, at: 0, gone: 0, done };
    this.#line.ready(this);
  }

  #consumed(bytes: number): void {
    this.#buffered -= bytes;
    this.#owed += bytes;
    this.#read += bytes;
    this.#giveBack();
    if (this.#exit === undefined && this.#loans < MAX_LOANS && this.#read >= OUTPUT_CREDIT + this.#loan * this.#loans) {
      if (this.#owner.lend()) {
        this.#loans += 1;
        this.#owed += this.#loan;
      }
    }
    // Each time wakes the guest. What it has then is not used up before it is told.
    const most = OUTPUT_CREDIT + this.#loan * this.#loans;
    if (this.#owed < Math.max(this.#loan, most) / 4 || this.#exit !== undefined) return;
    this.#grant(this.#owed);
    this.#owed = 0;
  }

  /** Only when nothing of it waits any more: what was lent bounds that. */
  #giveBack(): void {
    if (this.#exit === undefined || this.#buffered > 0 || this.#loans === 0) return;
    this.#owner.onReturn(this.#loans);
    this.#loans = 0;
  }

  #grant(bytes: number): void {
    this.#outputAllowed += bytes;
    this.#granted += bytes;
    this.#tell();
  }

  #tell(): void {
    if (this.#opened) this.#line.state(this.#states);
  }

  #nextState(): Buffer | undefined {
    const { session } = this;
    if (this.#forgotten) {
      if (this.#isToldForgotten) return undefined;
      this.#isToldForgotten = true;
      this.#owner.onTold();
      return encodeFrame(ToGuest.forget, session);
    }
    if (this.#exit !== undefined) return undefined;
    for (const number of this.#signals) {
      this.#signals.delete(number);
      return encodeFrame(ToGuest.signal, session, u32(number));
    }
    if (this.#size !== undefined) {
      const size = this.#size;
      this.#size = undefined;
      return encodeFrame(ToGuest.resize, session, size);
    }
    if (this.#granted === 0) return undefined;
    const granted = Math.min(this.#granted, this.#loan); // agents take no more at once
    this.#granted -= granted;
    return encodeFrame(ToGuest.credit, session, u32(granted));
  }
}

/** Node makes it anew each time that it is asked for it, and a guest can say numbers as often as it likes. */
let errors: ReturnType<typeof getSystemErrorMap> | undefined;

/** What an errno of the guest means, in the words of the C library: `no such file or directory`. */
export function errnoText(errno: number): string {
  errors ??= getSystemErrorMap();
  return errors.get(-errno)?.[1] ?? `errno ${errno}`;
}
