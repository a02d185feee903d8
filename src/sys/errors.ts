/** Failures as people meet them: their codes, what they are for every face of the product, and errnos in words. */

import { plainLine } from './text.ts';

// Not by `import`: see src/sys/node.ts.
const { getSystemErrorMessage } = process.getBuiltinModule('node:util');

/**
 * Every failure a person can meet, as one class with a code. The table maps each code to the HTTP status the API
 * answers with and the exit code the CLI ends with, so that the same fault looks the same through every face. docs/api.md
 * shows it.
 */
export const ERROR_TABLE = {
  invalid: { http: 400, exit: 2, meaning: "a field's value is not acceptable: syntax, range, combination" },
  'not-found': { http: 404, exit: 125, meaning: 'the named instance, image, session or file does not exist' },
  conflict: { http: 409, exit: 125, meaning: 'the name or resource is taken, or the state forbids the act' },
  permission: { http: 403, exit: 125, meaning: 'the calling user may not do this' },
  unsupported: { http: 422, exit: 125, meaning: 'the driver cannot do this; the message names the missing capability' },
  unavailable: {
    http: 503,
    exit: 125,
    meaning: 'the machine lacks a program, package or feature; the hint says how to get it',
  },
  'not-ready': { http: 504, exit: 124, meaning: 'the guest did not become ready before its deadline' },
  panic: { http: 500, exit: 122, meaning: 'the guest kernel panicked' },
  'kernel-died': { http: 500, exit: 123, meaning: "the guest kernel's process ended without having been asked to" },
  'not-executed': {
    http: 422,
    exit: 126,
    meaning: 'a command cannot be executed in the guest, as this user or in this directory',
  },
  'no-command': { http: 422, exit: 127, meaning: 'the guest has no such command' },
  protocol: { http: 502, exit: 125, meaning: 'the other side of a protocol broke its rules' },
  internal: { http: 500, exit: 125, meaning: 'a fault of Polykernel itself or of the host (disk full, I/O error)' },
} as const;

/** What the exit codes of `pk` mean; docs/run.md shows them. */
export const EXIT_CODES: Readonly<Record<(typeof ERROR_TABLE)[ErrorCode]['exit'], string>> = {
  2: 'wrong usage',
  122: "the kernel panicked; the message has the panic's own line",
  123: "the kernel's process died",
  124: 'the kernel was not ready in time; the message has the end of its console',
  125: 'Polykernel refused or failed',
  126: 'the command cannot be executed, or not as this user or in this directory',
  127: 'the command is not found, or what it is to be run by (its `#!` line, the loader of its C library)',
};

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
  EISDIR: 'it is a directory',
  ENOTDIR: 'what should be a directory is none',
  ELOOP: 'it is a symbolic link, or there are too many on the way',
  EEXIST: 'it is there already',
  EROFS: 'the file system is read-only',
  ECONNREFUSED: 'nothing listens there',
  EADDRINUSE: 'the address is in use',
};

/** The reason of an errno in words, without its name: libuv has some for each, as "ENXIO: no such device or address, open '/x'". */
function errnoText({ code = '', errno, message }: Partial<NodeJS.ErrnoException>): string | undefined {
  const isSystems = typeof errno === 'number' && message?.startsWith(`${code}: `);
  return ERRNO_TEXT[code] ?? (isSystems ? getSystemErrorMessage(errno) : undefined);
}

/** Turns any thrown value into a PolykernelError, spelling out an errno and naming `doing` ("writing the log"). */
export function asPolykernelError(error: unknown, doing: string): PolykernelError {
  if (error instanceof PolykernelError) return error;
  const errno = error as NodeJS.ErrnoException;
  const code: ErrorCode = errno?.code === 'EACCES' || errno?.code === 'EPERM' ? 'permission' : 'internal';
  const reason = errnoText(errno ?? {}) ?? errno?.message ?? String(error);
  // A path by way of a descriptor tells nobody anything: who opened that knows what it is. Another is not what the user named, and perhaps a
  // name that a guest has made: of several lines it would tell something else.
  const isTold = errno?.path !== undefined && !doing.includes(errno.path) && !errno.path.startsWith('/proc/self/fd/');
  const path = isTold ? ` (${plainLine(errno.path!)})` : '';
  return new PolykernelError(code, `${doing} failed: ${reason}${path}`, { cause: error });
}

/** What `read` returns; what it finds invalid is said to be at `place`, an option or a file. */
export function readAt<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof PolykernelError) || error.message.startsWith(`${place}: `)) throw error;
    const { code, message, field, value, hint, cause } = error;
    throw new PolykernelError(code, `${place}: ${message}`, { field, value, hint, cause });
  }
}

/** The message of an error without the field it begins with, which the place says better. */
export function withoutField({ field = '', message }: PolykernelError): string {
  if (field === '' || !message.startsWith(field)) return message;
  return message.slice(field.length).replace(/^:? /, '');
}
