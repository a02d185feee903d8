/** The WebSocket streams of the API as Node streams. Loaded on demand: it brings `ws` along. */
import { Duplex, Readable, type ReadableOptions, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { CHANNEL, frame, HIGH_WATER_BYTES, MESSAGE_BYTES } from '../core/stream-frames.ts';
import type { ExecRequest, StreamExit, StreamNotice } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { compileInForeground, expectStreams } from '../sys/node.ts';
import { connectionError, NO_SERVER_NAME } from './http.ts';
import { Line, ProcessInput } from './process-line.ts';

export interface StreamOptions {
  signal?: AbortSignal;
  /** Told what a starting kernel does ("booting kernel"). */
  phase?: (text: string) => void;
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
  socket.on('close', () => output.stream.push(null));
  socket.on('error', () => {});
  output.stream.on('close', () => socket.terminate());
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
  /** The session to go on with, once the daemon has said so. */
  let moved: number | undefined;
  let isLetGo = false;
  const hear = (notice: StreamNotice) => {
    if ('phase' in notice) options.phase?.(notice.phase);
    else if ('started' in notice) started.resolve(notice.started);
    else if ('taken' in notice) input.kept.taken(notice.taken);
    else if ('moved' in notice) {
      input.kept.taken(notice.moved.taken);
      input.hold();
      moved = notice.moved.session;
    } else if ('exited' in notice) {
      started.reject(new PolykernelError('internal', notice.exited.message));
      exited.resolve(notice.exited);
    } else if ('error' in notice) fail(PolykernelError.fromJSON(notice.error));
  };
  const lost = (error: unknown) => {
    stdout.stream.push(null);
    stderr.stream.push(null);
    input.end();
    // After `exited` this has no effect.
    fail(error);
  };
  const closed = () => {
    const session = moved;
    moved = undefined;
    const isOver = options.signal?.aborted || isLetGo;
    if (session === undefined || first === undefined || isOver || !input.kept.isWhole)
      return lost(
        options.signal?.aborted
          ? options.signal.reason
          : new PolykernelError('unavailable', 'the connection to the daemon was lost'),
      );
    goOn({ ...first, session }).catch(lost);
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
  async function goOn(request: ExecRequest): Promise<void> {
    const socket = await reconnect(socketPath, path, listen, () => isLetGo, options.signal);
    line.replace(socket);
    if (socket.readyState !== WebSocket.OPEN) return closed();
    socket.send(JSON.stringify(request));
    input.goOn();
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

/** How long another daemon may take to come. */
const GO_ON_MS = 30_000;
const GO_ON_PAUSE_MS = 10;

/** Connects to the daemon that comes next. Rejects with `unavailable` when none does, or `isOver`. */
async function reconnect(
  socketPath: string,
  path: string,
  listen: (socket: WebSocket) => void,
  isOver: () => boolean,
  signal?: AbortSignal,
): Promise<WebSocket> {
  for (const deadline = performance.now() + GO_ON_MS; ; await sleep(GO_ON_PAUSE_MS)) {
    signal?.throwIfAborted();
    if (isOver()) throw new PolykernelError('unavailable', 'the connection to the daemon was let go');
    const socket = create(socketPath, path);
    listen(socket);
    try {
      await opened(socket, socketPath, signal);
      return socket;
    } catch (error) {
      const isAway = error instanceof PolykernelError && error.code === 'unavailable';
      if (!isAway || performance.now() > deadline) throw error;
    }
  }
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
): { stream: S; take(bytes: Buffer): void } {
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
    take(bytes) {
      if (!stream.destroyed && !stream.readableEnded && !stream.push(bytes)) line.hold(stream);
    },
  };
}

function sender(socket: WebSocket): Writable {
  return new Writable({
    highWaterMark: HIGH_WATER_BYTES,
    write(chunk: Buffer, _encoding, done) {
      if (socket.readyState !== WebSocket.OPEN) return done();
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
