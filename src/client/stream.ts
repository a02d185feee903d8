/** The WebSocket streams of the API as Node streams. Loaded on demand: it brings `ws` along. */
import { Duplex, Readable, type ReadableOptions, Writable } from 'node:stream';
import { WebSocket } from 'ws';
import { CHANNEL, frame, HIGH_WATER_BYTES, MESSAGE_BYTES } from '../core/stream-frames.ts';
import type { ExecRequest, StreamCommand, StreamExit, StreamNotice } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { compileInForeground, expectStreams } from '../sys/node.ts';
import { connectionError, NO_SERVER_NAME } from './http.ts';

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
  const input = sender(socket);
  const output = receiver(socket, (readable) => {
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
  first: object | undefined,
  options: StreamOptions,
): Promise<RemoteProcess> {
  const socket = create(socketPath, path);
  const stdout = receiver(socket, (readable) => new Readable(readable));
  const stderr = receiver(socket, (readable) => new Readable(readable));
  const started = Promise.withResolvers<{ pid: number; isElsewhere: boolean }>();
  const exited = Promise.withResolvers<StreamExit>();
  started.promise.catch(() => {});
  exited.promise.catch(() => {});
  const fail = (error: unknown) => {
    started.reject(error);
    exited.reject(error);
  };
  socket.on('message', (data: Buffer, binary) => {
    if (binary) {
      if (data[0] === CHANNEL.stdout) stdout.take(data.subarray(1));
      else if (data[0] === CHANNEL.stderr) stderr.take(data.subarray(1));
      return;
    }
    const notice = parseNotice(data);
    if (notice === undefined) return;
    if ('phase' in notice) options.phase?.(notice.phase);
    else if ('started' in notice) started.resolve(notice.started);
    else if ('exited' in notice) {
      started.reject(new PolykernelError('internal', notice.exited.message));
      exited.resolve(notice.exited);
    } else if ('error' in notice) fail(PolykernelError.fromJSON(notice.error));
  });
  socket.on('close', () => {
    stdout.stream.push(null);
    stderr.stream.push(null);
    // After `exited` this has no effect.
    fail(
      options.signal?.aborted
        ? options.signal.reason
        : new PolykernelError('unavailable', 'the connection to the daemon was lost'),
    );
  });
  socket.on('error', () => {});
  const command = (value: StreamCommand) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(value));
  };
  await opened(socket, socketPath, options.signal);
  if (first !== undefined) socket.send(JSON.stringify(first));
  return {
    stdin: sender(socket),
    stdout: stdout.stream,
    stderr: stderr.stream,
    started: started.promise,
    exited: exited.promise,
    signal: (number) => command({ signal: number }),
    resize: (rows, columns) => command({ resize: { rows, columns } }),
    close: () => socket.terminate(),
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

/** Bytes of one channel as a stream; the socket is paused while any channel is full. */
function receiver<S extends Readable>(
  socket: WebSocket,
  make: (options: ReadableOptions) => S,
): { stream: S; take(bytes: Buffer): void } {
  let full = false;
  const release = () => {
    if (!full) return;
    full = false;
    held.get(socket)?.delete(stream);
    if ((held.get(socket)?.size ?? 0) === 0) socket.resume();
  };
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
      if (stream.destroyed || stream.readableEnded || stream.push(bytes)) return;
      full = true;
      held.set(socket, (held.get(socket) ?? new Set()).add(stream));
      socket.pause();
    },
  };
}

/** Input in one message: short enough that the daemon passes one on while the next one comes. */
const INPUT_BYTES = 128 * 1024;

/** Which channels of a socket wait for their reader. */
const held = new WeakMap<WebSocket, Set<Readable>>();

function sender(socket: WebSocket): Writable {
  return new Writable({
    highWaterMark: HIGH_WATER_BYTES,
    write(chunk: Buffer, _encoding, done) {
      if (socket.readyState !== WebSocket.OPEN) return done();
      for (let at = 0; at < chunk.length; at += INPUT_BYTES) {
        const last = at + INPUT_BYTES >= chunk.length;
        // The callback comes once the bytes are with the kernel, which is the back-pressure.
        socket.send(frame(CHANNEL.stdin, chunk.subarray(at, at + INPUT_BYTES)), () => last && done());
      }
      if (chunk.length === 0) done();
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
