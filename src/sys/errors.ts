/**
 * Every failure a person can meet, as one class with a code. The table maps each code to the HTTP status the API
 * answers with and the exit code the CLI ends with, so that the same fault looks the same through every face.
 */
export const ERROR_TABLE = {
  /** A field's value is not acceptable: syntax, range, combination. */
  invalid: { http: 400, exit: 2 },
  /** The named instance, image, session or file does not exist. */
  'not-found': { http: 404, exit: 125 },
  /** The name or resource is taken, or the state forbids the act. */
  conflict: { http: 409, exit: 125 },
  /** The calling user may not do this. */
  permission: { http: 403, exit: 125 },
  /** The driver cannot do this; the message names the missing capability. */
  unsupported: { http: 422, exit: 125 },
  /** The machine lacks a program, package or feature; the hint says how to get it. */
  unavailable: { http: 503, exit: 125 },
  /** The guest did not become ready before its deadline. */
  'not-ready': { http: 504, exit: 124 },
  /** The guest kernel panicked. */
  panic: { http: 500, exit: 122 },
  /** The guest kernel's process ended without having been asked to. */
  'kernel-died': { http: 500, exit: 123 },
  /** A command cannot be executed in the guest, as this user or in this directory. */
  'not-executed': { http: 422, exit: 126 },
  /** The guest has no such command. */
  'no-command': { http: 422, exit: 127 },
  /** The other side of a protocol broke its rules. */
  protocol: { http: 502, exit: 125 },
  /** A fault of Polykernel itself or of the host (disk full, I/O error). */
  internal: { http: 500, exit: 125 },
} as const;

export type ErrorCode = keyof typeof ERROR_TABLE;

export interface ErrorDetail {
  /** The field or option at fault, as the user wrote it (`--cpus`, `spec.memory`). */
  field?: string;
  /** The offending value. */
  value?: unknown;
  /** What to do next, as a full sentence. */
  hint?: string;
  cause?: unknown;
}

/** Many errors repeat what they refuse, and are stored with events: characters of each of their texts. */
const MOST_TEXT = 2000;

const clipped = (text: string): string => (text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text);

/** An error meant for people: says what failed and why; `hint` says what to do next. Its texts are cut to 2,000 characters. */
export class PolykernelError extends Error {
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly value: unknown;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(clipped(message), detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'PolykernelError';
    this.code = code;
    this.field = detail.field;
    this.value = typeof detail.value === 'string' ? clipped(detail.value) : detail.value;
    this.hint = detail.hint === undefined ? undefined : clipped(detail.hint);
  }

  /** The form sent over the API. Never contains a stack. */
  toJSON(): ErrorBody {
    const body: ErrorBody = { code: this.code, message: this.message };
    if (this.field !== undefined) body.field = this.field;
    if (this.value !== undefined) body.value = this.value;
    if (this.hint !== undefined) body.hint = this.hint;
    return body;
  }

  static fromJSON(body: ErrorBody): PolykernelError {
    const code = body.code in ERROR_TABLE ? body.code : 'internal';
    return new PolykernelError(code, body.message, {
      field: body.field,
      value: body.value,
      hint: body.hint,
    } as ErrorDetail);
  }
}

export interface ErrorBody {
  code: ErrorCode;
  message: string;
  field?: string;
  value?: unknown;
  hint?: string;
}

const ERRNO_TEXT: Record<string, string> = {
  ENOSPC: 'no space is left on the device',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  ENOENT: 'no such file or directory',
  EMFILE: 'too many open files',
  EROFS: 'the file system is read-only',
  ECONNREFUSED: 'nothing listens there',
  EADDRINUSE: 'the address is in use',
};

/** Turns any thrown value into a PolykernelError, spelling out an errno and naming `doing` ("writing the log"). */
export function asPolykernelError(error: unknown, doing: string): PolykernelError {
  if (error instanceof PolykernelError) return error;
  const errno = error as NodeJS.ErrnoException;
  const code: ErrorCode = errno?.code === 'EACCES' || errno?.code === 'EPERM' ? 'permission' : 'internal';
  const reason = ERRNO_TEXT[errno?.code ?? ''] ?? errno?.message ?? String(error);
  const path = errno?.path === undefined ? '' : ` (${errno.path})`;
  return new PolykernelError(code, `${doing} failed: ${reason}${path}`, { cause: error });
}
