/** Errors as they go over the wire. */
import type { Duplex } from 'node:stream';
import { asPolykernelError, ERROR_TABLE, type ErrorBody, PolykernelError } from '../sys/errors.ts';

/** What the server needs of the daemon. */
export interface Serving {
  /** Aborted when the daemon ends: open answers end with it. */
  ending: AbortSignal;
  /** Resolves when what a request has changed is on the disk, and only then is it answered. */
  settled(): Promise<void>;
  /** For faults of the daemon itself. */
  complain(text: string, error: unknown): void;
}

/** A command and its environment have at most 128 KiB; quoting and the rest need room too. */
export const BODY_BYTES = 1024 * 1024;

/** The error as it goes over the wire. What is nobody's mistake but ours is told to the daemon's log. */
export function errorAnswer(
  error: unknown,
  serving: Pick<Serving, 'complain'>,
): { status: number; body: { error: ErrorBody } } {
  const known = asKnownError(error);
  if (known.code === 'internal') serving.complain('answering a request', error);
  return { status: ERROR_TABLE[known.code].http, body: { error: known.toJSON() } };
}

function asKnownError(error: unknown): PolykernelError {
  if (error instanceof PolykernelError) return error;
  const { statusCode, code, message } = error as { statusCode?: number; code?: string; message?: string };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new PolykernelError('invalid', `the request body is larger than ${BODY_BYTES} bytes`);
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new PolykernelError('invalid', 'the request body is not JSON', {
      hint: 'Send it with Content-Type: application/json.',
    });
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new PolykernelError('invalid', `malformed request: ${message}`);
  return asPolykernelError(error, 'answering the request');
}

/** Answers on a connection that no route has: a refused upgrade, or bytes that are no request. */
export function refuseRaw(connection: Duplex, error: unknown, serving: Pick<Serving, 'complain'>): void {
  const answer = errorAnswer(error, serving);
  const body = JSON.stringify(answer.body);
  const headers = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`;
  connection.on('error', () => {});
  connection.end(`HTTP/1.1 ${answer.status} Refused\r\n${headers}\r\n\r\n${body}`);
}
