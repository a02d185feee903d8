import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PolykernelError } from '../sys/errors.ts';
import { type LineSource, LineWriter } from './line.ts';
import { fileError, type GuestHello, parseHello, type Snapshot, SnapshotAssembler, watchPayload } from './messages.ts';
import { errnoText, type GuestExit, GuestProcess } from './process.ts';
import {
  encodeFrame,
  encodeMessage,
  encodePairs,
  Flag,
  type Frame,
  FrameDecoder,
  MAX_CHANNELS,
  MAX_TO_HOST,
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

interface Request {
  resolve: () => void;
  reject: (error: PolykernelError) => void;
}

/** A guest that breaks the protocol this often is cut off. */
const MAX_VIOLATIONS = 64;
/** How often one attach answers a HELLO that the guest sent by itself (it opened the line after our first try). */
const MAX_GREETINGS = 4;
const MAX_SESSIONS = 64;

/**
 * The host's end of the control line of one guest. It outlives streams: attach() may be called again after a stream was
 * lost, and running processes go on. INVARIANT: everything the guest sends is bounded and checked before it is used;
 * frames before the answer to the current nonce belong to an earlier connection.
 */
export class GuestLink extends EventEmitter<{
  disconnect: [Error];
  'protocol-error': [PolykernelError];
  /** A process in the guest rings the bell of the channel in this slot. */
  bell: [slot: number];
}> {
  readonly name: string;
  readonly #random: () => number;
  readonly #line = new LineWriter((bytes) => this.#stream?.write(bytes));
  readonly #bells = new BellSource();
  readonly #processes = new Map<number, GuestProcess>();
  readonly #found = new Map<number, GuestProcess>();
  readonly #requests = new Map<number, Request>();
  #stream: Duplex | undefined;
  #release = () => {};
  #decoder = new FrameDecoder(MAX_TO_HOST);
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
  #snapshots = new SnapshotAssembler();
  #poweroff: Request | undefined;
  #destroyed: PolykernelError | undefined;

  constructor(options: GuestLinkOptions) {
    super();
    this.name = options.name;
    this.#random = options.random ?? (() => randomBytes(4).readUInt32LE());
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
    this.#decoder = new FrameDecoder(MAX_TO_HOST);
    const onData = (chunk: Buffer) => this.#receive(chunk);
    const onClose = () =>
      this.#lose(new PolykernelError('kernel-died', `the control line of ${this.name} closed`), true);
    const onError = (error: Error) =>
      this.#lose(
        new PolykernelError('kernel-died', `the control line of ${this.name} failed: ${error.message}`, {
          cause: error,
        }),
        true,
      );
    const onAbort = () => this.#lose(new PolykernelError('not-ready', `${this.name} did not answer in time`), true);
    signal?.addEventListener('abort', onAbort, { once: true });
    stream.on('data', onData).on('end', onClose).on('close', onClose).on('error', onError);
    this.#release = () => {
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
   * Carries out set-up steps in the guest, in order.
   * @throws PolykernelError `internal` naming the step that failed, `kernel-died` when the guest is lost meanwhile
   */
  configure(ops: readonly Pair[], signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#mustBeConnected();
      signal?.throwIfAborted();
      const id = this.#nextRequest++;
      const onAbort = () => {
        this.#requests.delete(id);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const settled = () => signal?.removeEventListener('abort', onAbort);
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
      this.#line.control(...encodeMessage(ToGuest.configure, id, encodePairs(ops)));
    });
  }

  /**
   * Starts a process. That it could not be started is told by `started` and `exited`.
   * @throws PolykernelError `kernel-died` when not connected, `invalid` for a NUL or too long a command
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
    return this.#open(ToGuest.exec, pairs);
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
   * The content of a file in the guest; resolves once the guest has opened it.
   * @throws PolykernelError `not-found`, `permission` or `invalid`, naming the path
   */
  async readFile(path: string): Promise<Readable> {
    const transfer = this.#open(ToGuest.get, [['path', path]]);
    transfer.stdin.end();
    const { stdout } = transfer;
    // Whether it ends well shows only at the end: the consumer learns of a read error or a lost guest as an error.
    const settled = transfer.exited.then((exit) => {
      if (exit.kind === 'failed') stdout.destroy(fileError('reading', path, exit));
      transfer.forget();
    });
    await Promise.race([transfer.firstOutput, settled]);
    if (transfer.exit?.kind === 'failed') {
      stdout.on('error', () => {});
      throw fileError('reading', path, transfer.exit);
    }
    stdout.once('close', () => transfer.forget());
    return stdout;
  }

  /**
   * Writes a file in the guest, replacing what was there. `mode` as in chmod.
   * @throws PolykernelError `not-found`, `permission`, `invalid`, or `internal` (no space), naming the path
   */
  async writeFile(path: string, mode: number, content: Readable | Uint8Array): Promise<void> {
    const transfer = this.#open(ToGuest.put, [
      ['path', path],
      ['mode', mode.toString(8)],
    ]);
    try {
      if (content instanceof Uint8Array) transfer.stdin.end(content);
      else await pipeline(content, transfer.stdin);
      const exit = await transfer.exited;
      if (exit.kind === 'failed') throw fileError('writing', path, exit);
    } finally {
      transfer.forget();
    }
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
    this.#line.control(...encodeMessage(ToGuest.watch, 0, watch.payload));
    return () => {
      if (this.#watch !== watch) return;
      this.#watch = undefined;
      this.#line.control(encodeFrame(ToGuest.watch, 0));
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
      this.#poweroff = { resolve, reject };
      this.#line.control(encodeFrame(ToGuest.poweroff, 0, u32(graceMs, how === 'reboot' ? 1 : 0)));
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
    let session = 0;
    while (session === 0 || this.#processes.has(session) || this.#found.has(session)) session = this.#random() >>> 0;
    const frames = encodeMessage(type, session, encodePairs(pairs));
    const process = this.#process(session, this.#processes);
    this.#line.control(...frames);
    return process;
  }

  #process(session: number, owner: Map<number, GuestProcess>): GuestProcess {
    const process = new GuestProcess(session, this.#line, () => {
      this.#processes.delete(session);
      this.#found.delete(session);
    });
    owner.set(session, process);
    return process;
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

  #lose(error: PolykernelError, tell: boolean): void {
    const greeting = this.#greeting;
    const connected = this.#hello !== undefined;
    if (this.#stream === undefined) return;
    this.#release();
    this.#stream = undefined;
    this.#greeting = undefined;
    this.#hello = undefined;
    this.#line.close();
    this.#bells.pending.clear();
    this.#snapshots = new SnapshotAssembler();
    for (const request of this.#requests.values()) request.reject(error);
    this.#requests.clear();
    this.#poweroff?.reject(error);
    this.#poweroff = undefined;
    greeting?.reject(error);
    if (tell && connected) this.emit('disconnect', error);
  }

  #receive(chunk: Buffer): void {
    const { skipped } = this.#decoder;
    for (const frame of this.#decoder.push(chunk)) {
      if (this.#greeting !== undefined) this.#handshake(frame);
      else if (this.#stream !== undefined && !this.#handle(frame)) this.#violation(`frame of type ${frame.type}`);
    }
    if (this.#greeting === undefined && this.#decoder.skipped > skipped) this.#violation('bytes that are no frame');
  }

  #violation(what: string): void {
    this.#violations += 1;
    if (this.#violations <= MAX_VIOLATIONS || this.#destroyed !== undefined) return;
    const error = new PolykernelError(
      'protocol',
      `the guest ${this.name} keeps breaking the control protocol (last: ${what})`,
      {
        hint: 'Treat the guest as hostile or broken: look at its console, then remove it.',
      },
    );
    this.destroy(error);
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
    if (this.#watch !== undefined) this.#line.control(...encodeMessage(ToGuest.watch, 0, this.#watch.payload));
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
        process?.finish(exitOf(payload.readUInt32LE(), payload.readUInt32LE(4), text(payload.subarray(8))));
        return true;
      case ToHost.result:
        return this.#result(session, payload);
      case ToHost.snapshot:
        return this.#snapshot(payload, flags);
      case ToHost.goodbye:
        this.#poweroff?.resolve();
        this.#poweroff = undefined;
        return true;
      case ToHost.bell:
        if (session >= MAX_CHANNELS) return false;
        this.emit('bell', session);
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
    const detail = text(payload.subarray(4));
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

function text(bytes: Buffer): string {
  return bytes
    .subarray(0, 1024)
    .toString('utf8')
    .replace(/[^\x20-\x7e\u00a0-\uffff]/g, '?');
}

function exitOf(kind: number, value: number, what: string): GuestExit {
  if (kind === 0) return { kind: 'exit', value: value & 0xff, message: '' };
  if (kind === 1) return { kind: 'signal', value: value & 0x7f, message: '' };
  return { kind: 'failed', value, message: `${what || 'starting'}: ${errnoText(value)}` };
}
