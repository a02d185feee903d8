/** The WebSocket streams of the API as Node streams. Loaded on demand: it brings `ws` along. */
import { Duplex, Readable, type ReadableOptions, Writable } from 'node:stream';
import { WebSocket } from 'ws';
import { CHANNEL, frame, HIGH_WATER_BYTES, MESSAGE_BYTES } from '../core/stream-frames.ts';
import type { Counts, ExecRequest, StreamExit, StreamNotice } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { compileInForeground, countStreamed, expectStreams } from '../sys/node.ts';
import { connectionError, LOST, NO_SERVER_NAME } from './http.ts';
import { nextDaemon } from './next-daemon.ts';
import { Line, ProcessInput } from './process-line.ts';

/** Of a WebSocket that is closed in good order. */
const ENDED = 1000;

export interface StreamOptions {
  signal?: AbortSignal;
  /** Told what a starting kernel does ("booting kernel"). */
  phase?: (text: string) => void;
  /** Told, in a line for people, when it waits for another daemon to go on with. */
  waits?: (text: string) => void;
  /** Starts another one when that was killed, if nobody else does. */
  revive?: () => Promise<unknown>;
}

/** A process in a guest. Both outputs must be read or resumed, else the process is held back. */
export interface RemoteProcess {
  stdin: Writable;
  stdout: Readable;
  stderr: Readable;
  /** Resolves once it runs, with its pid in the guest. Rejects as `exited` does. */
  started: Promise<{ pid: number; isElsewhere: boolean }>;
  /** Resolves after the last output was queued; rejects with the daemon's error or when the connection is lost. */
  exited: Promise<StreamExit>;
  signal(number: number): void;
  resize(rows: number, columns: number): void;
  /** Lets go at once. Of a foreground instance this ends it. */
  close(): void;
}

/** Raw bytes of a kernel's console. */
export type RemoteConsole = Duplex;

export function attach(socketPath: string, name: string, options: StreamOptions = {}): Promise<RemoteProcess> {
  return openProcess(socketPath, `/v1/instances/${encodeURIComponent(name)}/attach`, undefined, options);
}

export function exec(
  socketPath: string,
  name: string,
  request: ExecRequest,
  options: StreamOptions = {},
): Promise<RemoteProcess> {
  return openProcess(socketPath, `/v1/instances/${encodeURIComponent(name)}/exec`, request, options);
}

export async function console(socketPath: string, name: string, options: StreamOptions = {}): Promise<RemoteConsole> {
  const socket = create(socketPath, `/v1/instances/${encodeURIComponent(name)}/console`);
  const line = new Line(socket);
  const input = sender(socket);
  const output = receiver(line, (readable) => {
    return new Duplex({
      ...(readable as object),
      write: (chunk: Buffer, _encoding, done) => void input.write(chunk, (error) => done(error)),
      final: (done) => void input.end(() => done()),
    });
  });
  socket.on('message', (data: Buffer, binary) => {
    if (binary) return output.take(data.subarray(1));
    const notice = parseNotice(data);
    if (notice !== undefined && 'error' in notice) output.stream.destroy(PolykernelError.fromJSON(notice.error));
  });
  socket.on('close', (code) => {
    // The daemon says so when the console ends with its kernel.
    if (code === ENDED) output.stream.push(null);
    else
      output.stream.destroy(
        new PolykernelError('unavailable', 'the connection to the daemon was lost', { hint: LOST }),
      );
  });
  socket.on('error', () => {});
  // Whoever reads it is told; while it opens nobody does.
  output.stream.on('error', () => {}).on('close', () => socket.terminate());
  await opened(socket, socketPath, options.signal);
  return output.stream;
}

async function openProcess(
  socketPath: string,
  path: string,
  first: ExecRequest | undefined,
  options: StreamOptions,
): Promise<RemoteProcess> {
  const line = new Line(create(socketPath, path));
  const stdout = receiver(line, (readable) => new Readable(readable));
  const stderr = receiver(line, (readable) => new Readable(readable));
  const input = new ProcessInput(line);
  const started = Promise.withResolvers<{ pid: number; isElsewhere: boolean }>();
  const exited = Promise.withResolvers<StreamExit>();
  started.promise.catch(() => {});
  exited.promise.catch(() => {});
  const fail = (error: unknown) => {
    started.reject(error);
    exited.reject(error);
  };
  /** What another daemon can go on with; and whether this one has said that nothing more comes from it. */
  let session: number | undefined;
  let isMoved = false;
  let isKilled = false;
  let isLetGo = false;
  let isOver = false;
  const hear = (notice: StreamNotice) => {
    if ('phase' in notice) options.phase?.(notice.phase);
    else if ('started' in notice) {
      session = notice.started.session;
      started.resolve(notice.started);
    } else if ('found' in notice) found(notice.found);
    else if ('taken' in notice) input.kept.taken(notice.taken);
    else if ('moved' in notice) {
      input.kept.taken(notice.moved.taken);
      input.hold();
      session = notice.moved.session;
      isMoved = true;
    } else if ('exited' in notice) {
      isOver = true;
      started.reject(new PolykernelError('internal', notice.exited.message));
      exited.resolve(notice.exited);
    } else if ('error' in notice) {
      isOver = true;
      fail(PolykernelError.fromJSON(notice.error));
    }
  };
  /** The guest's own counts tell what was lost with a daemon that has said nothing at its end. */
  const found = (counts: Counts | null) => {
    if (!isKilled) return;
    const gap = gapIn(counts, stdout.bytes(), stderr.bytes());
    if (gap === undefined && input.goOn(counts!.stdin)) return;
    isOver = true;
    fail(
      new PolykernelError('unavailable', `the daemon was killed, and ${gap ?? 'input that was under way is lost'}`, {
        hint: 'What ran is ended, since it cannot go on without a gap.',
      }),
    );
    line.socket.terminate();
  };
  const lost = (error: unknown) => {
    stdout.stream.push(null);
    stderr.stream.push(null);
    input.end();
    // After `exited` this has no effect.
    fail(error);
  };
  const closed = () => {
    if (options.signal?.aborted) return lost(options.signal.reason);
    if (session === undefined || isOver || isLetGo || !input.kept.isWhole)
      return lost(new PolykernelError('unavailable', 'the connection to the daemon was lost', { hint: LOST }));
    input.hold();
    goOn(session).catch(lost);
  };
  const listen = (socket: WebSocket) => {
    socket.on('message', (data: Buffer, binary) => {
      if (!binary) {
        const notice = parseNotice(data);
        if (notice !== undefined) hear(notice);
      } else if (data[0] === CHANNEL.stdout) stdout.take(data.subarray(1));
      else if (data[0] === CHANNEL.stderr) stderr.take(data.subarray(1));
    });
    socket.on('close', () => {
      if (line.socket === socket) closed();
    });
    socket.on('error', () => {});
  };
  /** With the daemon that comes after the one that has moved it. */
  async function goOn(session: number): Promise<void> {
    const wasMoved = isMoved;
    isKilled = !wasMoved;
    isMoved = false;
    const target = first === undefined ? `${path}?session=${session}` : path;
    const reconnect = async () => {
      const socket = create(socketPath, target);
      listen(socket);
      // Before anything comes on it.
      socket.once('open', () => line.replace(socket));
      await opened(socket, socketPath, options.signal);
      return socket;
    };
    const revive = wasMoved ? undefined : options.revive;
    const waiting = { say: options.waits, signal: options.signal, revive, isOver: () => isLetGo };
    const socket = await nextDaemon(socketPath, reconnect, waiting);
    if (socket.readyState !== WebSocket.OPEN) return;
    if (first !== undefined) socket.send(JSON.stringify({ ...first, session }));
    if (wasMoved) input.goOn();
  }
  listen(line.socket);
  await opened(line.socket, socketPath, options.signal);
  if (first !== undefined) line.socket.send(JSON.stringify(first));
  return {
    stdin: input.stream,
    stdout: stdout.stream,
    stderr: stderr.stream,
    started: started.promise,
    exited: exited.promise,
    signal: (number) => input.command({ signal: number }),
    resize: (rows, columns) => input.command({ resize: { rows, columns } }),
    close: () => {
      isLetGo = true;
      line.socket.terminate();
    },
  };
}

/** What of the output is missing between what came and what the guest has sent; undefined: nothing. */
function gapIn(counts: Counts | null, stdout: number, stderr: number): string | undefined {
  if (counts === null) return 'its guest is too old to tell what of the output is lost';
  if (counts.stdout < stdout || counts.stderr < stderr) return 'its guest tells of less output than has come';
  const missing = counts.stdout - stdout + counts.stderr - stderr;
  return missing === 0 ? undefined : `${missing} bytes of the output that were under way are lost`;
}

/** Listeners must be there before it opens: the first message may come with the handshake's answer. */
function create(socketPath: string, path: string): WebSocket {
  compileInForeground();
  expectStreams();
  const socket = new WebSocket(`ws+unix:${socketPath}:${path}`, {
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES + 1,
    skipUTF8Validation: true,
    // Against proxies that take content for requests (RFC 6455, 10.3): there is none on a Unix socket. Zeros cost nothing.
    generateMask: (mask) => void mask.fill(0),
    ...NO_SERVER_NAME,
  });
  socket.binaryType = 'nodebuffer';
  return socket;
}

function opened(socket: WebSocket, socketPath: string, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => socket.terminate();
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('close', () => signal?.removeEventListener('abort', onAbort));
    if (signal?.aborted) socket.terminate();
    socket.once('open', () => resolve());
    socket.once('error', (error) => reject(connectionError(socketPath, error, signal)));
    socket.once('unexpected-response', (_request, response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => {
        try {
          reject(PolykernelError.fromJSON(JSON.parse(text).error));
        } catch {
          reject(new PolykernelError('protocol', `the daemon answered ${response.statusCode} instead of a stream`));
        }
      });
    });
  });
}

/** Bytes of one channel as a stream; the line is paused while any channel is full. */
function receiver<S extends Readable>(
  line: Line,
  make: (options: ReadableOptions) => S,
): { stream: S; take(bytes: Buffer): void; bytes(): number } {
  let came = 0;
  const release = () => line.release(stream);
  const stream = make({
    highWaterMark: HIGH_WATER_BYTES,
    read: release,
    destroy(error, done) {
      release();
      done(error);
    },
  });
  return {
    stream,
    bytes: () => came,
    take(bytes) {
      came += bytes.length;
      countStreamed(bytes.length);
      if (!stream.destroyed && !stream.readableEnded && !stream.push(bytes)) line.hold(stream);
    },
  };
}

function sender(socket: WebSocket): Writable {
  return new Writable({
    highWaterMark: HIGH_WATER_BYTES,
    write(chunk: Buffer, _encoding, done) {
      if (socket.readyState !== WebSocket.OPEN) return done();
      countStreamed(chunk.length);
      // The callback comes once the bytes are with the kernel, which is the back-pressure.
      socket.send(frame(CHANNEL.stdin, chunk), () => done());
    },
    final(done) {
      if (socket.readyState === WebSocket.OPEN) socket.send(frame(CHANNEL.stdin, Buffer.alloc(0)), () => done());
      else done();
    },
  });
}

function parseNotice(data: Buffer): StreamNotice | undefined {
  try {
    const notice: unknown = JSON.parse(data.toString());
    return typeof notice === 'object' && notice !== null ? (notice as StreamNotice) : undefined;
  } catch {
    return undefined;
  }
}
