import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Duplex, Readable } from 'node:stream';
import { type Clock, systemClock } from '../sys/clock.ts';
import { PolykernelError } from '../sys/errors.ts';
import { receiveFile, sendFile } from './files.ts';
import { Inbox, type Turns } from './inbox.ts';
import { type LineSource, LineWriter, type Request } from './line.ts';
import { exitOf, type GuestHello, guestText, parseHello, type Snapshot, SnapshotAssembler, watchPayload } from './messages.ts';
import { errnoText, type GuestExit, GuestProcess } from './process.ts';
import {
  encodeFrame,
  encodeMessage,
  encodePairs,
  Flag,
  type Frame,
  MAX_CHANNELS,
  MAX_HELD,
  type Pair,
  PROTOCOL_VERSION,
  RESYNC_BYTES,
  ToGuest,
  ToHost,
  u16,
  u32,
} from './protocol.ts';

export interface GuestLinkOptions {
  /** For error messages. */
  name: string;
  /** Uniform 32-bit numbers for nonces and session ids; the default is the system's generator. */
  random?: () => number;
  /** For deadlines. */
  clock?: Clock;
  /** With whom the time of this process is shared; default: all links. */
  turns?: Turns;
}

export interface ExecRequest {
  /** argv; the first is searched in the PATH of `env`, inside the guest. */
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  uid: number;
  gid: number;
  /** A pseudo-terminal of this size in characters; stdout then carries all output. */
  tty?: { rows: number; columns: number } | undefined;
}

/** A session that an earlier manager left in the guest. */
export interface FoundSession {
  session: number;
  /** 0: a file transfer, or a process that never started. */
  pid: number;
  /** How it ended, if it has. */
  exit: GuestExit | undefined;
}

interface Waiting {
  resolve: () => void;
  reject: (error: PolykernelError) => void;
}

/** A guest that breaks the protocol this often is cut off. */
const MAX_VIOLATIONS = 64;
/** What has not been answered by then never will be, where no caller has a deadline of its own. */
const ANSWER_MS = 60_000;
/** A missing answer counts as so many violations. */
const LATE = 4;
/** A guest that has left its queue full, and read nothing, for so long is cut off. */
const FULL_MS = 30_000;
/** How often one attach answers a HELLO that the guest sent by itself (it opened the line after our first try). */
const MAX_GREETINGS = 4;
const MAX_SESSIONS = 64;

/**
 * The host's end of the control line of one guest. It outlives streams: attach() may be called again after a stream was
 * lost, and running processes go on. INVARIANTS: everything the guest sends is bounded and checked before it is used, at a
 * bounded pace; what waits to be sent to it is bounded; no answer is waited for without end, and one that does not come
 * counts against the guest; frames before the answer to the current nonce belong to an earlier connection.
 */
export class GuestLink extends EventEmitter<{
  disconnect: [Error];
  'protocol-error': [PolykernelError];
  /** A process in the guest rings the bell of the channel in this slot. */
  bell: [slot: number];
}> {
  readonly name: string;
  readonly #random: () => number;
  readonly #clock: Clock;
  readonly #turns: Turns | undefined;
  readonly #line = new LineWriter((bytes) => this.#stream?.write(bytes));
  readonly #bells = new BellSource();
  /** Slots of bells that came in this turn. */
  #rung = 0;
  readonly #processes = new Map<number, GuestProcess>();
  readonly #found = new Map<number, GuestProcess>();
  /** Sessions that were given up, of which the guest is still to be told. */
  readonly #leaving = new Set<number>();
  readonly #requests = new Map<number, Waiting>();
  #stream: Duplex | undefined;
  #release = () => {};
  #inbox: Inbox | undefined;
  /** Ends the wait for a guest that has left its queue full. */
  #cancelFull: (() => void) | undefined;
  #isResting = false;
  #wokeAt = -Infinity;
  #greeting:
    | { nonce: number; tries: number; resolve: (hello: GuestHello) => void; reject: (error: Error) => void }
    | undefined;
  #listed = new Map<number, { pid: number; exit: GuestExit | undefined }>();
  #hello: GuestHello | undefined;
  #nextRequest = 1;
  #violations = 0;
  #watch:
    | { payload: Buffer; paths: ReadonlySet<string>; once: boolean; callback: (snapshot: Snapshot) => void }
    | undefined;
  /** The last WATCH; a newer one replaces it while it waits. */
  #watchRequest: Request | undefined;
  #snapshots = new SnapshotAssembler();
  #poweroff: Waiting | undefined;
  #destroyed: PolykernelError | undefined;

  constructor(options: GuestLinkOptions) {
    super();
    this.name = options.name;
    this.#random = options.random ?? (() => randomBytes(4).readUInt32LE());
    this.#clock = options.clock ?? systemClock;
    this.#turns = options.turns;
    this.#line.onProgress = () => {
      this.#cancelFull?.();
      this.#cancelFull = undefined;
    };
  }

  /** Whether the guest is paused, so that its silence is no fault of its own. */
  rest(isResting: boolean): void {
    this.#isResting = isResting;
    if (!isResting) this.#wokeAt = this.#clock.now();
  }

  /** What the guest said of itself at the last attach; undefined while not connected. */
  get hello(): GuestHello | undefined {
    return this.#hello;
  }

  /**
   * Takes over `stream` as the control line and shakes hands. A stream already attached is let go (and destroyed if it
   * is another one). Processes of this link go on; sessions it does not know show up in sessions().
   * @throws PolykernelError `kernel-died` when the stream ends first, `protocol` on another protocol version
   */
  attach(stream: Duplex, signal?: AbortSignal): Promise<GuestHello> {
    if (this.#destroyed !== undefined) return Promise.reject(this.#destroyed);
    const previous = this.#stream;
    this.#lose(new PolykernelError('kernel-died', `the control line of ${this.name} was replaced`), false);
    if (previous !== undefined && previous !== stream) previous.destroy();
    this.#stream = stream;
    const inbox = this.#newInbox(stream);
    this.#inbox = inbox;
    const onData = (chunk: Buffer) => inbox.push(chunk);
    const lose = (error: PolykernelError) => {
      this.#hearOut();
      this.#lose(error, true);
    };
    const onClose = () => lose(new PolykernelError('kernel-died', `the control line of ${this.name} closed`));
    const onError = (error: Error) =>
      lose(
        new PolykernelError('kernel-died', `the control line of ${this.name} failed: ${error.message}`, {
          cause: error,
        }),
      );
    const onAbort = () => this.#lose(new PolykernelError('not-ready', `${this.name} did not answer in time`), true);
    signal?.addEventListener('abort', onAbort, { once: true });
    stream.on('data', onData).on('end', onClose).on('close', onClose).on('error', onError);
    // An earlier connection may have held it.
    stream.resume();
    this.#release = () => {
      inbox.close();
      signal?.removeEventListener('abort', onAbort);
      stream.off('data', onData).off('end', onClose).off('close', onClose).off('error', onError);
      stream.on('error', () => {}); // nobody is interested in it any more, and an unheard error would end the daemon
    };
    return new Promise((resolve, reject) => {
      this.#greeting = {
        nonce: 0,
        tries: 0,
        resolve: (hello) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(hello);
        },
        reject,
      };
      if (signal?.aborted) onAbort();
      else if (stream.destroyed || stream.readableEnded) onClose();
      else this.#greet();
    });
  }

  /**
   * Carries out set-up steps in the guest, in order. Without a `signal`, which is a deadline, there is one of 60 s.
   * @throws PolykernelError `internal` naming the step that failed, `kernel-died` when the guest is lost meanwhile,
   * `not-ready` when it does not answer in time, `unavailable` when it has left too many requests unread
   */
  configure(ops: readonly Pair[], signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#mustBeConnected();
      signal?.throwIfAborted();
      const id = this.#nextRequest++;
      const request = this.#ask(encodeMessage(ToGuest.configure, id, encodePairs(ops)));
      const give = (error: unknown) => {
        this.#requests.delete(id);
        this.#line.withdraw(request);
        settled();
        reject(error);
      };
      const onAbort = () => give(signal?.reason);
      const cancel = signal === undefined ? this.#after('a configuration', give) : () => {};
      signal?.addEventListener('abort', onAbort, { once: true });
      const settled = () => {
        cancel();
        signal?.removeEventListener('abort', onAbort);
      };
      this.#requests.set(id, {
        resolve: () => {
          settled();
          resolve();
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
    });
  }

  /**
   * Starts a process. That it could not be started, or that the guest does not say within 60 s, is told by `started` and
   * `exited`.
   * @throws PolykernelError `kernel-died` when not connected, `invalid` for a NUL or too long a command, `unavailable` when
   * the guest has left too many requests unread
   */
  exec(request: ExecRequest): GuestProcess {
    const pairs: Pair[] = [
      ['cwd', request.cwd],
      ['uid', String(request.uid)],
      ['gid', String(request.gid)],
    ];
    if (request.tty !== undefined) {
      pairs.push(['tty', '1'], ['rows', String(request.tty.rows)], ['cols', String(request.tty.columns)]);
    }
    for (const argument of request.command) pairs.push(['arg', argument]);
    for (const [key, value] of Object.entries(request.env)) pairs.push(['env', `${key}=${value}`]);
    const process = this.#open(ToGuest.exec, pairs);
    const cancel = this.#expect(process, () => process.pid === 0);
    process.started.then(cancel, cancel);
    return process;
  }

  /** Sessions that were in the guest at the last attach and belong to nobody yet. */
  sessions(): FoundSession[] {
    return [...this.#found.values()].map(({ session, pid, exit }) => ({ session, pid, exit }));
  }

  /**
   * Takes over a session listed by sessions(): its further output, and its end.
   * @throws PolykernelError `not-found`
   */
  adopt(session: number): GuestProcess {
    const process = this.#found.get(session);
    if (process === undefined)
      throw new PolykernelError('not-found', `${this.name} has no session ${session} to take over`);
    this.#found.delete(session);
    this.#processes.set(session, process);
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
   * Raw contents of /proc and /sys files, every `intervalMs` (0: once). Replaces an earlier watch and survives
   * re-attachment. Returns what stops it.
   * @throws PolykernelError `invalid` for more than 32 paths or paths elsewhere
   */
  watch(paths: readonly string[], intervalMs: number, callback: (snapshot: Snapshot) => void): () => void {
    this.#mustBeConnected();
    const watch = { payload: watchPayload(paths, intervalMs), paths: new Set(paths), once: intervalMs === 0, callback };
    this.#watch = watch;
    this.#sendWatch(watch.payload);
    return () => {
      if (this.#watch !== watch) return;
      this.#watch = undefined;
      this.#sendWatch(Buffer.alloc(0));
    };
  }

  /**
   * SIGTERM to everything in the guest, SIGKILL after `graceMs`, sync, unmount; resolves just before the power goes.
   * @throws PolykernelError `kernel-died` when the guest is lost first
   */
  poweroff(graceMs: number, how: 'off' | 'reboot' = 'off'): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#mustBeConnected();
      this.#poweroff?.reject(new PolykernelError('conflict', `${this.name} was told again to power off`));
      this.#ask([encodeFrame(ToGuest.poweroff, 0, u32(graceMs, how === 'reboot' ? 1 : 0))]);
      const cancel = this.#after('a request to power off', (error) => this.#poweroff?.reject(error), graceMs + ANSWER_MS);
      const settle = (action: () => void) => {
        cancel();
        this.#poweroff = undefined;
        action();
      };
      this.#poweroff = { resolve: () => settle(resolve), reject: (error) => settle(() => reject(error)) };
    });
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
    this.#hearOut();
    this.#end(error);
  }

  #end(error: PolykernelError): void {
    if (this.#destroyed !== undefined) return;
    this.#destroyed = error;
    const stream = this.#stream;
    this.#lose(error, false);
    stream?.destroy();
    for (const process of [...this.#processes.values(), ...this.#found.values()]) {
      process.finish({ kind: 'failed', value: 0, message: error.message });
    }
    this.#processes.clear();
    this.#found.clear();
    this.#watch = undefined;
  }

  /** Lets the stream go without touching the guest or its processes: a later manager may attach. */
  detach(): void {
    const stream = this.#stream;
    this.#lose(new PolykernelError('kernel-died', `${this.name} was let go`), false);
    stream?.destroy();
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
    if (this.#processes.size + this.#found.size + this.#leaving.size >= MAX_HELD) throw this.#full(`${MAX_HELD} sessions`);
    let session = 0;
    while (session === 0 || this.#holds(session)) session = this.#random() >>> 0;
    const frames = encodeMessage(type, session, encodePairs(pairs));
    let request: Request | undefined;
    const process = this.#process(session, this.#processes, () => request !== undefined && this.#line.withdraw(request));
    try {
      request = this.#ask(frames, () => process.markOpened());
    } catch (error) {
      process.forget();
      this.#leaving.delete(session);
      throw error;
    }
    return process;
  }

  #transfer(type: number, pairs: readonly Pair[]): GuestProcess {
    const transfer = this.#open(type, pairs);
    void transfer.exited.then(this.#expect(transfer, () => transfer.isGuestsTurn));
    return transfer;
  }

  #holds(session: number): boolean {
    return this.#processes.has(session) || this.#found.has(session) || this.#leaving.has(session);
  }

  /** `withdraw`: takes the request for it back; true when the guest never hears of it. */
  #process(session: number, owner: Map<number, GuestProcess>, withdraw = () => false): GuestProcess {
    const process = new GuestProcess(session, this.#line, {
      onForget: () => {
        this.#processes.delete(session);
        this.#found.delete(session);
        if (this.#hello !== undefined && !withdraw()) this.#leaving.add(session);
      },
      onTold: () => void this.#leaving.delete(session),
    });
    owner.set(session, process);
    return process;
  }

  /** @throws PolykernelError `unavailable` when too much waits already */
  #ask(frames: Buffer[], onSent?: () => void): Request {
    const request = this.#line.request(frames, onSent);
    if (request === undefined) throw this.#full(`${this.#line.queued} bytes of requests`);
    return request;
  }

  /** The guest has left all that may wait for it unread; when it goes on like that it is cut off. */
  #full(what: string): PolykernelError {
    this.#cancelFull ??= this.#after(
      'what waits for it',
      () => this.#cutOff(`it has read nothing for ${FULL_MS / 1000} s, and ${what} wait for it`),
      FULL_MS,
    );
    return new PolykernelError('unavailable', `the guest ${this.name} does not read what it is sent: ${what} wait for it`, {
      hint: 'Look at its console. Try again when it is less busy, or restart it.',
    });
  }

  #sendWatch(payload: Buffer): void {
    if (this.#watchRequest !== undefined) this.#line.withdraw(this.#watchRequest);
    this.#watchRequest = this.#ask(encodeMessage(ToGuest.watch, 0, payload));
  }

  /**
   * Calls `action` with an error in `milliseconds` and counts it against the guest, if it was awake all the time. Returns what
   * cancels it.
   */
  #after(what: string, action: (error: PolykernelError) => void, milliseconds = ANSWER_MS): () => void {
    const begun = this.#clock.now();
    return this.#clock.after(milliseconds, () => {
      action(this.#late());
      if (!this.#isResting && this.#wokeAt <= begun) this.#violation(`no answer to ${what}`, LATE);
    });
  }

  /** Ends a session whose guest does nothing for it for a while although `isDue`. Returns what cancels that. */
  #expect(process: GuestProcess, isDue: () => boolean): () => void {
    let cancel = () => {};
    const watch = () => {
      const { progress } = process;
      const begun = this.#clock.now();
      cancel = this.#clock.after(ANSWER_MS, () => {
        if (process.exit !== undefined) return;
        const isFault = isDue() && process.progress === progress && !this.#isResting && this.#wokeAt <= begun;
        if (!isFault || this.#hello === undefined) return watch();
        process.finish({ kind: 'failed', value: 0, message: this.#late().message });
        this.#violation('no answer to a request', LATE);
      });
    };
    watch();
    return () => cancel();
  }

  #late(): PolykernelError {
    return new PolykernelError('not-ready', `the guest ${this.name} did not answer in time`, {
      hint: this.#isResting ? 'It is paused: resume it first.' : 'Look at its console; it may hang.',
    });
  }

  #greet(): void {
    const greeting = this.#greeting!;
    greeting.tries += 1;
    do greeting.nonce = this.#random() >>> 0;
    while (greeting.nonce === 0);
    this.#listed.clear();
    const hello = Buffer.concat([u16(PROTOCOL_VERSION, 0), u32(greeting.nonce)]);
    this.#stream?.write(Buffer.concat([Buffer.alloc(RESYNC_BYTES), encodeFrame(ToGuest.hello, 0, hello)]));
  }

  #newInbox(stream: Duplex): Inbox {
    return new Inbox({
      turns: this.#turns,
      handle: (frame) => {
        if (this.#greeting !== undefined) this.#handshake(frame);
        else if (this.#stream !== undefined && !this.#handle(frame)) this.#violation(`frame of type ${frame.type}`);
      },
      onGarbage: () => {
        if (this.#greeting === undefined) this.#violation('bytes that are no frame');
      },
      onPause: () => this.#tellBells(),
      hold: (held) => void (held ? stream.pause() : stream.resume()),
    });
  }

  /** What has come already is handled although the line is gone. */
  #hearOut(): void {
    const [inbox, stream] = [this.#inbox, this.#stream];
    if (stream === undefined) return;
    inbox?.drain();
    for (let rest = stream.read() as Buffer | null; rest !== null; rest = stream.read()) inbox?.push(rest);
  }

  #lose(error: PolykernelError, tell: boolean): void {
    const greeting = this.#greeting;
    const connected = this.#hello !== undefined;
    if (this.#stream === undefined) return;
    this.#release();
    this.#stream = undefined;
    this.#inbox = undefined;
    this.#greeting = undefined;
    this.#hello = undefined;
    this.#line.close();
    this.#cancelFull?.();
    this.#cancelFull = undefined;
    this.#bells.pending.clear();
    this.#leaving.clear();
    this.#watchRequest = undefined;
    this.#snapshots = new SnapshotAssembler();
    for (const request of this.#requests.values()) request.reject(error);
    this.#requests.clear();
    this.#poweroff?.reject(error);
    greeting?.reject(error);
    if (tell && connected) this.emit('disconnect', error);
  }

  #violation(what: string, weight = 1): void {
    this.#violations += weight;
    if (this.#violations > MAX_VIOLATIONS) this.#cutOff(`last: ${what}`);
  }

  #cutOff(why: string): void {
    if (this.#destroyed !== undefined) return;
    const error = new PolykernelError('protocol', `the guest ${this.name} keeps breaking the control protocol (${why})`, {
      hint: 'Treat the guest as hostile or broken: look at its console, then remove it.',
    });
    this.#end(error);
    this.emit('protocol-error', error);
  }

  #handshake(frame: Frame): void {
    const greeting = this.#greeting!;
    if (frame.type === ToHost.session && frame.payload.length === 16 && frame.session !== 0) {
      if (this.#listed.size < MAX_SESSIONS) {
        const [state, pid, kind, value] = [0, 4, 8, 12].map((at) => frame.payload.readUInt32LE(at)) as [
          number,
          number,
          number,
          number,
        ];
        this.#listed.set(frame.session, { pid, exit: state === 1 ? exitOf(kind, value, '') : undefined });
      }
      return;
    }
    if (frame.type !== ToHost.hello) return;
    const hello = parseHello(frame.payload);
    if (hello === undefined) return;
    if (hello.nonce === 0 && greeting.tries < MAX_GREETINGS) this.#greet();
    if (hello.nonce === 0 || hello.nonce !== greeting.nonce) return;
    if (hello.version !== PROTOCOL_VERSION) {
      const stream = this.#stream;
      this.#lose(
        new PolykernelError(
          'protocol',
          `${this.name} speaks guest protocol ${hello.version}, not ${PROTOCOL_VERSION}`,
          {
            hint: 'Restart the instance, so that its kernel boots the current pk-init.',
          },
        ),
        false,
      );
      stream?.destroy();
      return;
    }
    this.#greeting = undefined;
    this.#hello = hello;
    this.#line.open();
    this.#resume();
    if (this.#watch !== undefined) this.#sendWatch(this.#watch.payload);
    greeting.resolve(hello);
  }

  /** Matches what the guest listed against what is known here. */
  #resume(): void {
    for (const session of [...this.#found.keys()]) if (!this.#listed.has(session)) this.#found.delete(session);
    for (const process of this.#processes.values()) {
      const listed = this.#listed.get(process.session);
      process.connectionReset();
      if (listed === undefined)
        process.finish({ kind: 'failed', value: 0, message: 'the session was lost with the connection' });
      else if (listed.exit !== undefined) process.finish(listed.exit);
      else process.grantOutput();
    }
    for (const [session, { pid, exit }] of this.#listed) {
      if (this.#processes.has(session)) continue;
      const process = this.#found.get(session) ?? this.#process(session, this.#found);
      process.connectionReset();
      if (pid !== 0) process.markStarted(pid);
      if (exit !== undefined) process.finish(exit);
    }
    this.#listed.clear();
  }

  /** False when the frame breaks a rule. Frames of sessions given up are still under way for a while and are no fault. */
  #handle({ type, flags, session, payload }: Frame): boolean {
    const process = this.#processes.get(session) ?? this.#found.get(session);
    switch (type) {
      case ToHost.ack:
        return payload.length === 4 && this.#line.ack(payload.readUInt32LE());
      case ToHost.stdout:
      case ToHost.stderr:
        return process?.output(type === ToHost.stdout ? 'stdout' : 'stderr', payload, (flags & Flag.eof) !== 0) ?? true;
      case ToHost.credit:
        return payload.length === 4 && (process?.credit(payload.readUInt32LE()) ?? true);
      case ToHost.started:
        if (payload.length !== 4) return false;
        process?.markStarted(payload.readUInt32LE());
        return true;
      case ToHost.exited:
        if (payload.length < 8) return false;
        process?.finish(exitOf(payload.readUInt32LE(), payload.readUInt32LE(4), guestText(payload.subarray(8))));
        return true;
      case ToHost.result:
        return this.#result(session, payload);
      case ToHost.snapshot:
        return this.#snapshot(payload, flags);
      case ToHost.goodbye:
        this.#poweroff?.resolve();
        return true;
      case ToHost.bell:
        if (session >= MAX_CHANNELS) return false;
        this.#rung |= 1 << session;
        return true;
      default:
        return false;
    }
  }

  #result(id: number, payload: Buffer): boolean {
    if (payload.length < 4) return false;
    const request = this.#requests.get(id);
    if (request === undefined) return true; // aborted meanwhile
    this.#requests.delete(id);
    const errno = payload.readUInt32LE();
    const detail = guestText(payload.subarray(4));
    if (errno === 0) {
      const bootId = /^boot-id=([0-9a-f-]{36})$/.exec(detail)?.[1];
      if (bootId !== undefined && this.#hello !== undefined) this.#hello = { ...this.#hello, bootId };
      request.resolve();
    } else {
      const message = `setting up the guest ${this.name} failed at "${detail}": ${errnoText(errno)}`;
      request.reject(new PolykernelError('internal', message, { value: detail }));
    }
    return true;
  }

  /** However often it rang in this turn. */
  #tellBells(): void {
    const rung = this.#rung;
    this.#rung = 0;
    for (let slot = 0; rung >> slot !== 0; slot++) if (((rung >> slot) & 1) !== 0) this.emit('bell', slot);
  }

  #snapshot(payload: Buffer, flags: number): boolean {
    const watch = this.#watch;
    const snapshot = this.#snapshots.push(payload, (flags & Flag.more) !== 0);
    if (snapshot === 'broken') return false;
    if (snapshot !== undefined && watch?.paths.has(snapshot.path)) watch.callback(snapshot);
    return true;
  }
}

/** Bells that wait for room on the line. */
class BellSource implements LineSource {
  readonly pending = new Set<number>();

  nextFrame(): Buffer | undefined {
    for (const slot of this.pending) {
      this.pending.delete(slot);
      return encodeFrame(ToGuest.bell, slot);
    }
    return undefined;
  }
}
