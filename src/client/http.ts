/** HTTP to the daemon over its Unix socket: one connection per request, errors as PolykernelError. */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { type ErrorBody, PolykernelError } from '../sys/errors.ts';

// Not by `import`: see src/sys/node.ts. The getter of WebSocket loads a whole HTTP client of its own.
const { request } = process.getBuiltinModule('node:http');

/** Without it Node.js asks of each host name whether it is an address, and compiling that pattern takes 5 ms. */
export const NO_SERVER_NAME = { servername: '' };

export interface Call {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is. */
  raw?: Readable | Uint8Array;
  signal?: AbortSignal;
}

/** Sends and returns the response once its headers are there. Rejects with the daemon's error for a status from 400 up. */
export function send(socketPath: string, call: Call): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = {};
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    if (body !== undefined) {
      headers['content-type'] = 'application/json';
      headers['content-length'] = String(Buffer.byteLength(body));
    } else if (call.raw !== undefined) {
      headers['content-type'] = 'application/octet-stream';
      // Else a daemon that refuses halfway closes at once, and the failing write would hide its reason.
      headers.connection = 'keep-alive';
    }
    const outgoing = request(
      {
        socketPath,
        path: call.path + queryString(call.query),
        method: call.method ?? 'GET',
        headers,
        agent: false,
        ...NO_SERVER_NAME,
        signal: call.signal,
      },
      (response) => {
        if (call.raw !== undefined) response.once('end', () => outgoing.destroy());
        if ((response.statusCode ?? 500) < 400) return resolve(response);
        readError(response).then(reject, reject);
      },
    );
    outgoing.on('error', (error: NodeJS.ErrnoException) => reject(connectionError(socketPath, error, call.signal)));
    if (call.raw !== undefined && 'pipe' in call.raw) {
      call.raw.on('error', (error) => outgoing.destroy(error));
      call.raw.pipe(outgoing);
    } else outgoing.end(body ?? call.raw);
  });
}

/** Sends and reads the JSON answer; undefined for 204. */
export async function json<T>(socketPath: string, call: Call): Promise<T> {
  const response = await send(socketPath, call);
  const text = await textOf(response);
  return (text === '' ? undefined : parse(text)) as T;
}

/** Reads newline-delimited JSON as it comes. Ends with the response; rejects when the connection is cut. */
export async function* lines<T>(response: IncomingMessage): AsyncGenerator<T> {
  let rest = '';
  for await (const chunk of textChunks(response)) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop()!;
    for (const part of parts) if (part !== '') yield parse(part) as T;
  }
}

/** Reads the `data:` of server-sent events, one JSON value each. */
export async function* serverSentEvents<T>(response: IncomingMessage): AsyncGenerator<T> {
  let rest = '';
  for await (const chunk of textChunks(response)) {
    const blocks = (rest + chunk).split('\n\n');
    rest = blocks.pop()!;
    for (const block of blocks) {
      const data = block.split('\n').filter((line) => line.startsWith('data:'));
      if (data.length > 0) yield parse(data.map((line) => line.slice(5)).join('\n')) as T;
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new PolykernelError('protocol', 'the daemon answered with something that is not JSON', {
      value: text.slice(0, 100),
      hint: 'Another program may listen on its socket: see POLYKERNEL_HOME.',
      cause,
    });
  }
}

function queryString(query: Call['query']): string {
  const parts = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value === undefined || value === false) continue;
    parts.set(key, value === true ? '1' : String(value));
  }
  const text = parts.toString();
  return text === '' ? '' : `?${text}`;
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of textChunks(response)) text += chunk;
  return text;
}

/** Pieces of a response; a connection that is cut rejects as every other failure does. */
async function* textChunks(response: IncomingMessage): AsyncGenerator<string> {
  response.setEncoding('utf8');
  try {
    yield* response;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
    throw new PolykernelError('unavailable', 'the connection to the daemon was lost', { hint: LOST, cause: error });
  }
}

async function readError(response: IncomingMessage): Promise<PolykernelError> {
  const text = await textOf(response);
  try {
    return PolykernelError.fromJSON((JSON.parse(text) as { error: ErrorBody }).error);
  } catch {
    return new PolykernelError(
      'protocol',
      `the daemon answered ${response.statusCode} with something that is no error body`,
    );
  }
}

/** What to do about a connection that was cut. */
export const LOST = 'The daemon may have ended; instances go on without it. Try again, it is started by itself.';

/** A connection that could not be made or was lost. `unavailable` means: no daemon there. */
export function connectionError(socketPath: string, error: NodeJS.ErrnoException, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason;
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
    return new PolykernelError('unavailable', `no daemon answers on ${socketPath}`, {
      hint: 'Start it with `pk daemon`; other commands start it by themselves.',
      cause: error,
    });
  }
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    return new PolykernelError('permission', `this user may not use the daemon on ${socketPath}`, {
      hint: 'Run it as the user who owns the daemon, or set POLYKERNEL_HOME to a directory of your own.',
      cause: error,
    });
  }
  return new PolykernelError('unavailable', `the connection to the daemon was lost: ${error.message}`, {
    hint: LOST,
    cause: error,
  });
}
