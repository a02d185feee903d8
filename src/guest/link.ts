/** What the host can have a guest do: the requests on its control line, and what comes of them. */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Duplex, Readable } from 'node:stream';
import { PolykernelError } from '../sys/errors.ts';
import { Answers } from './answers.ts';
import { BellSource, RungBells } from './bells.ts';
import { Connection } from './connection.ts';
import { type ExecRequest, execPairs } from './exec.ts';
import { receiveFile, sendFile } from './files.ts';
import { type Hearers, hear } from './hear.ts';
import { LineWriter, type Request } from './line.ts';
import type { GuestLinkOptions } from './link-options.ts';
import type { LineMemory } from './memory.ts';
import type { GuestHello, Snapshot, Trouble } from './messages.ts';
import { Patience } from './patience.ts';
import { Poweroff } from './poweroff.ts';
import type { GuestProcess } from './process.ts';
import { encodeFrame, encodeMessage, encodePairs, MAX_HELD, type Pair, ToGuest, u32 } from './protocol.ts';
import { type FoundSession, type Listed, Sessions } from './sessions.ts';
import { packing, receiveTree, sendTree, type TreeWords, tooOld, unpacking } from './trees.ts';
import { type ClockLag, TimeQuestion } from './wall-clock.ts';
import { FileWatch } from './watch.ts';

/**
 * The host's end of the control line of one guest. It outlives streams: attach() may be called again after a stream was
 * lost, and running processes go on. INVARIANTS: everything the guest sends is bounded and checked before it is used, at a
 * bounded pace; what waits to be sent to it is bounded; no answer is waited for without end, and one that does not come
 * counts against the guest.
 */
export class GuestLink extends EventEmitter<{
  disconnect: [Error];
  'protocol-error': [PolykernelError];
  /** A process in the guest rings the bell of the channel in this slot. */
  bell: [slot: number];
  /** Its kernel's log tells of trouble. */
  trouble: [Trouble];
  /** Much goes over the line, which has no memory beside it: once a connection. */
  bulk: [];
}> {
  readonly name: string;
  readonly #random: () => number;
  readonly #options: GuestLinkOptions;
  readonly #patience: Patience;
  readonly #line = new LineWriter((batch) => this.#connection?.write(batch));
  readonly #sessions: Sessions;
  readonly #watch = new FileWatch(this.#line);
  readonly #time = new TimeQuestion(this.#line);
  readonly #bells = new BellSource();
  readonly #rung = new RungBells();
  readonly #answers: Answers;
  readonly #poweroff: Poweroff;
  readonly #hearers: Hearers;
  #connection: Connection | undefined;
  #hello: GuestHello | undefined;
  #heard = 0;
  #destroyed: PolykernelError | undefined;
  #brokenBy: PolykernelError | undefined;

  constructor(options: GuestLinkOptions) {
    super();
    this.name = options.name;
    this.#random = options.random ?? (() => randomBytes(4).readUInt32LE());
    this.#options = options;
    this.#patience = new Patience(options.name, options.clock, (error) => this.#cutOff(error));
    this.#answers = new Answers(options.name, this.#patience);
    this.#sessions = new Sessions(this.#line, this.#random);
    this.#poweroff = new Poweroff(options.name, this.#patience);
    this.#hearers = {
      ...{ line: this.#line, sessions: this.#sessions, answers: this.#answers, watch: this.#watch },
      ...{ time: this.#time, rung: this.#rung, poweroff: this.#poweroff },
      onStray: (bytes) => this.#connection?.chargeStray(bytes),
      onBootId: (bootId) => {
        if (this.#hello !== undefined) this.#hello = { ...this.#hello, bootId };
      },
      onTrouble: (trouble) => this.emit('trouble', trouble),
    };
    this.#line.onBulk = () => void this.emit('bulk');
    this.#line.onProgress = () => this.#patience.notFull();
  }

  /** Whether the guest is paused, so that its silence is no fault of its own. */
  rest(isResting: boolean): void {
    this.#patience.rest(isResting);
  }

  /** The guest has kept `what` waiting until its deadline: counts as an answer that did not come. */
  blame(what: string): void {
    this.#patience.late(what);
  }

  /** Why the guest was cut off, if it was: what `protocol-error` told whoever listened already. */
  get brokenBy(): PolykernelError | undefined {
    return this.#brokenBy;
  }

  /** What the guest said of itself at the last attach; undefined while not connected. */
  get hello(): GuestHello | undefined {
    return this.#hello;
  }

  /** It went on after this, by performance.now(): what it was asked then it has answered. */
  get answeredMs(): number | undefined {
    return this.#time.answeredMs;
  }

  /** Grows with everything that the guest says, acknowledgements too: while it stays, nothing was heard. */
  get heard(): number {
    return this.#heard;
  }

  /** Grows as long as its agent goes on, whatever the line does; undefined where no such word is shared. */
  get beats(): number | undefined {
    return this.#line.beats();
  }

  /** Memory shared with the guest, from the next attach on; closed with the link. */
  share(memory: LineMemory): void {
    this.#line.useMemory(memory);
  }

  /** The same, on this connection, of so many slots that a port has beside it by now. Rejects as configure(): then nothing is sent by it. */
  async beginSharing(slots: number, signal?: AbortSignal): Promise<void> {
    this.#line.expectMemory(slots);
    await this.configure([['line-memory', String(slots)]], signal);
    this.#line.beginSharing();
  }

  /**
   * Takes over `stream` as the control line and shakes hands. A stream already attached is let go (and destroyed if it
   * is another one). Processes of this link go on; sessions it does not know show up in sessions().
   * @param completes false where no earlier connection can have left a frame half-written: of a kernel that was just started. An emulated
   * guest reads for some 10 ms what completes one of the longest
   * @throws PolykernelError `kernel-died` when the stream ends first, `protocol` on another protocol version
   */
  attach(stream: Duplex, signal?: AbortSignal, completes = true): Promise<GuestHello> {
    if (this.#destroyed !== undefined) return Promise.reject(this.#destroyed);
    const previous = this.#connection?.stream;
    this.#lose(new PolykernelError('kernel-died', `the control line of ${this.name} was replaced`), false);
    if (previous !== undefined && previous !== stream) previous.destroy();
    const connection = new Connection(stream, this.#options, this.#random, {
      greeted: (hello, listed) => this.#greeted(hello, listed),
      frame: (frame) => {
        this.#heard += 1;
        if (!hear(frame, this.#hearers)) this.#patience.violation(`frame of type ${frame.type}`);
      },
      garbage: () => this.#patience.violation('bytes that are no frame'),
      paused: () => this.#rung.take((slot) => this.emit('bell', slot)),
      lost: (error) => this.#lose(error, true),
    });
    this.#connection = connection;
    return connection.greet(signal, completes);
  }

  /**
   * Carries out set-up steps in the guest, in order. Without a `signal`, which is a deadline, there is one of 60 s.
   * @throws PolykernelError `internal` naming the step that failed, `kernel-died` when the guest is lost meanwhile,
   * `not-ready` when it does not answer in time, `unavailable` when it has left too many requests unread
   */
  async configure(ops: readonly Pair[], signal?: AbortSignal): Promise<void> {
    await this.ask(ops, signal);
  }

  /** The same; resolves with what the guest says to it, unchecked. */
  ask(ops: readonly Pair[], signal?: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#mustBeConnected();
      signal?.throwIfAborted();
      const payload = encodePairs(ops);
      const id = this.#answers.next();
      const frames = encodeMessage(ToGuest.configure, id, payload);
      let request: Request | undefined;
      // Before it is sent: a guest in this process answers at once.
      const giveUp = () => request !== undefined && this.#line.withdraw(request);
      this.#answers.expect(id, { resolve, reject, signal, giveUp });
      try {
        request = this.#ask(frames);
      } catch (error) {
        this.#answers.fail(error, id);
      }
    });
  }

  /**
   * Starts a process. That it could not be started, or that the guest does not say within 60 s, is told by `started` and
   * `exited`.
   * @throws PolykernelError `kernel-died` when not connected, `invalid` for a NUL or too long a command, `unavailable` when
   * the guest has left too many requests unread
   */
  exec(request: ExecRequest): GuestProcess {
    if (request.detached && this.#hello?.detaches === false) throw tooOld(this.name, 'detaches no commands');
    const process = this.#open(ToGuest.exec, execPairs(request));
    const cancel = this.#patience.expect(process, () => process.pid === 0);
    process.started.then(cancel, cancel);
    return process;
  }

  /** Sessions that were in the guest at the last attach and belong to nobody yet. */
  sessions(): FoundSession[] {
    return this.#sessions.found();
  }

  /**
   * Takes over a session listed by sessions(): its further output, and its end.
   * @throws PolykernelError `not-found`
   */
  adopt(session: number): GuestProcess {
    const process = this.#sessions.adopt(session);
    if (process === undefined)
      throw new PolykernelError('not-found', `${this.name} has no session ${session} to take over`);
    process.grantOutput();
    return process;
  }

  /**
   * The content of a file in the guest; resolves once the guest has opened it. A guest that sends nothing for 60 s, with
   * all read that came, has failed.
   * @throws PolykernelError `not-found`, `permission` or `invalid`, naming the path
   */
  async readFile(path: string): Promise<Readable> {
    return receiveFile(this.#transfer(ToGuest.get, [['path', path]]), path);
  }

  /**
   * Writes a file in the guest, replacing what was there. `mode` as in chmod. A guest that takes nothing for 60 s has failed.
   * @throws PolykernelError `not-found`, `permission`, `invalid`, or `internal` (no space), naming the path
   */
  async writeFile(path: string, mode: number, content: Readable | Uint8Array): Promise<void> {
    const pairs: Pair[] = [
      ['path', path],
      ['mode', mode.toString(8)],
    ];
    return sendFile(this.#transfer(ToGuest.put, pairs), path, content);
  }

  /**
   * A file or a directory with all in it as a tar archive, in which it is called `name`; resolves once the guest has opened it.
   * A failure behind that destroys the stream.
   * @throws PolykernelError `not-found`, `permission` or `invalid`, naming the path, `unavailable` where the agent is too old
   */
  async readTree(path: string, name: string, signal?: AbortSignal): Promise<Readable> {
    this.#mustKnowTrees();
    return receiveTree(this.exec(packing(path, name)), path, signal);
  }

  /**
   * Unpacks a tar archive at `path`. Where there is nothing, that is what becomes of it; where there is a directory it goes in there.
   * @throws PolykernelError as readTree(), and `internal` (no space, no archive)
   */
  async writeTree(path: string, words: TreeWords, content: Readable | Uint8Array, signal?: AbortSignal): Promise<void> {
    this.#mustKnowTrees();
    return sendTree(this.exec(unpacking(path, words)), path, content, signal);
  }

  #mustKnowTrees(): void {
    this.#mustBeConnected();
    if (!this.#hello?.packsTrees) throw tooOld(this.name, 'has no archives of files');
  }

  /**
   * Raw contents of /proc and /sys files, every `intervalMs` (0: once). Replaces an earlier watch and survives
   * re-attachment. Returns what stops it.
   * @throws PolykernelError `invalid` for more than 32 paths or paths elsewhere
   */
  watch(paths: readonly string[], intervalMs: number, callback: (snapshot: Snapshot) => void): () => void {
    this.#mustBeConnected();
    const stop = this.#watch.start(paths, intervalMs, callback);
    if (stop === undefined) throw this.#full();
    return stop;
  }

  /**
   * By how much the guest's wall clock differs from `now`, which is as Date.now. A question that was asked before and not
   * answered is given up; an agent that is older than the question never answers.
   * @throws PolykernelError `kernel-died` when the guest is not connected, or lost meanwhile
   */
  clockLag(now: () => number): Promise<ClockLag> {
    return new Promise((resolve) => {
      this.#mustBeConnected();
      resolve(this.#time.ask(now));
    });
  }

  /**
   * SIGTERM to everything in the guest, SIGKILL after `graceMs`, sync, unmount; resolves just before the power goes.
   * @throws PolykernelError `kernel-died` when the guest is lost first
   */
  async poweroff(graceMs: number, how: 'off' | 'reboot' = 'off'): Promise<void> {
    this.#mustBeConnected();
    const frame = encodeFrame(ToGuest.poweroff, 0, u32(graceMs, how === 'reboot' ? 1 : 0));
    await this.#poweroff.expect(graceMs, () => this.#ask([frame]));
  }

  /** Wakes who sleeps on the channel in `slot`. Several calls before it can be sent are one; lost when not connected. */
  bell(slot: number): void {
    if (this.#hello === undefined) return;
    this.#bells.pending.add(slot);
    this.#line.ready(this.#bells);
  }

  /** Lets the stream go and fails everything that is under way. Later calls are refused with `error`. */
  destroy(error: PolykernelError = new PolykernelError('kernel-died', `${this.name} is gone`)): void {
    if (this.#destroyed !== undefined) return;
    this.#connection?.hearOut();
    this.#end(error);
  }

  #end(error: PolykernelError): void {
    if (this.#destroyed !== undefined) return;
    this.#destroyed = error;
    const stream = this.#connection?.stream;
    this.#lose(error, false);
    stream?.destroy();
    this.#sessions.end(error);
    this.#watch.end();
    this.#line.letGo();
  }

  /**
   * Before detach(): has the guest send no more output until somebody attaches, and takes what it has sent already, of which nothing
   * is lost so. What is asked of it from now on is not sent. Resolves when that is so, or the signal aborts; never rejects.
   */
  async settle(signal: AbortSignal): Promise<void> {
    if (this.#hello === undefined) return;
    this.#line.hush();
    await this.#connection?.settle(signal);
  }

  /** Lets the stream go without touching the guest or its processes: a later manager may attach. */
  detach(): void {
    const stream = this.#connection?.stream;
    this.#lose(new PolykernelError('kernel-died', `${this.name} was let go`), false);
    stream?.destroy();
    this.#line.letGo();
  }

  #mustBeConnected(): void {
    if (this.#destroyed !== undefined) throw this.#destroyed;
    if (this.#hello === undefined) {
      throw new PolykernelError('kernel-died', `${this.name} is not connected to its guest`, {
        hint: 'Wait until the instance is running again, or look at its console.',
      });
    }
  }

  #open(type: number, pairs: readonly Pair[]): GuestProcess {
    this.#mustBeConnected();
    const payload = encodePairs(pairs);
    if (this.#sessions.isFull) throw this.#patience.full(`${MAX_HELD} sessions`);
    let request: Request | undefined;
    const process = this.#sessions.open(() => request === undefined || this.#line.withdraw(request));
    try {
      request = this.#ask(encodeMessage(type, process.session, payload), () => process.markOpened());
    } catch (error) {
      process.forget();
      throw error;
    }
    return process;
  }

  #transfer(type: number, pairs: readonly Pair[]): GuestProcess {
    const transfer = this.#open(type, pairs);
    void transfer.exited.then(this.#patience.expect(transfer, () => transfer.isGuestsTurn));
    return transfer;
  }

  /** @throws PolykernelError `unavailable` when too much waits already */
  #ask(frames: Buffer[], onSent?: () => void): Request {
    const request = this.#line.request(frames, onSent);
    if (request === undefined) throw this.#full();
    return request;
  }

  #full(): PolykernelError {
    return this.#patience.full(`${this.#line.queued} bytes of requests`);
  }

  #greeted(hello: GuestHello, listed: Listed): void {
    this.#hello = hello;
    this.#line.open(hello.takes);
    this.#sessions.resume(listed);
    this.#watch.resume();
  }

  /** Lets go of the connection and fails what waits for answers. `tell`: whether that is news. */
  #lose(error: PolykernelError, tell: boolean): void {
    const connection = this.#connection;
    const connected = this.#hello !== undefined;
    if (connection === undefined) return;
    this.#connection = undefined;
    this.#hello = undefined;
    connection.letGo(error);
    this.#line.close();
    this.#patience.notFull();
    this.#sessions.disconnect();
    this.#bells.pending.clear();
    this.#answers.fail(error);
    this.#time.fail(error);
    this.#poweroff.fail(error);
    if (tell && connected) this.emit('disconnect', error);
  }

  #cutOff(error: PolykernelError): void {
    if (this.#destroyed !== undefined) return;
    this.#brokenBy = error;
    this.#end(error);
    this.emit('protocol-error', error);
  }
}
