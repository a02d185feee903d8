/** Contents of single messages, checked. */
import { constants } from 'node:os';
import { Accumulator } from '../sys/accumulator.ts';
import { type ErrorCode, PolykernelError } from '../sys/errors.ts';
import { plainLine } from '../sys/text.ts';
import { type LineShape, NARROW } from './line-shape.ts';
import { errnoText, type GuestExit } from './process.ts';
import { decodePairs, encodePairs, MAX_SNAPSHOT, MAX_WATCHES, WIDEST } from './protocol.ts';

/** What a guest says of itself. Hostile, but of bounded length and plain characters. */
export interface GuestHello {
  version: number;
  nonce: number;
  /** As `uname -r`. */
  release: string;
  /** CPUs online. */
  cpus: number;
  /** Known once the guest was seeded. */
  bootId: string | undefined;
  /** Whether it makes archives of files, and files of archives. */
  packsTrees: boolean;
  /** Whether it starts processes that belong to no session. */
  detaches: boolean;
  takes: LineShape;
}

/** Of a HELLO, that are looked at. */
const MOST_HELLO = 512;

/** Undefined when it is none. A serial line (not `isPort`) stops for ever if it gets more than NARROW, whatever the guest says. */
export function parseHello(payload: Buffer, isPort: boolean): GuestHello | undefined {
  if (payload.length < 8) return undefined;
  const pairs = new Map(decodePairs(payload.subarray(8, MOST_HELLO)));
  const release = (pairs.get('release') ?? '').replace(/[^\w.+~-]/g, '?').slice(0, 128);
  const bootId = pairs.get('boot-id') ?? '';
  const cpus = Number(pairs.get('cpus'));
  const within = (key: keyof LineShape) => {
    const value = Number(pairs.get(key) ?? NaN);
    return Number.isInteger(value) ? Math.min(WIDEST[key], Math.max(NARROW[key], value)) : NARROW[key];
  };
  return {
    version: payload.readUInt16LE(0),
    nonce: payload.readUInt32LE(4),
    release,
    cpus: Number.isInteger(cpus) && cpus >= 1 && cpus <= 8192 ? cpus : 1,
    bootId: /^[0-9a-f-]{36}$/.test(bootId) ? bootId : undefined,
    detaches: pairs.get('detaches') === '1',
    packsTrees: pairs.get('archives') === '1',
    takes: {
      payload: isPort ? within('payload') : NARROW.payload,
      window: isPort ? within('window') : NARROW.window,
      stdin: within('stdin'),
      slots: within('slots'),
      bare: isPort ? within('bare') : NARROW.bare,
    },
  };
}

/** The content of one watched file at one moment. */
export interface Snapshot {
  path: string;
  /** CLOCK_MONOTONIC of the guest, in nanoseconds. */
  monotonicNs: bigint;
  /** As read, at most 64 KiB; empty when the file cannot be read. */
  content: Buffer;
}

/** Most of a text from the guest that is looked at, in bytes. */
const MAX_TEXT = 1024;

/** A text in a message, as people may see it. */
export const guestText = (bytes: Buffer): string => plainLine(bytes.subarray(0, MAX_TEXT).toString('utf8'));

/** How a session ended, in the numbers and the text of the protocol. */
export function exitOf(kind: number, value: number, what: string): GuestExit {
  if (kind === 0) return { kind: 'exit', value: value & 0xff, message: what };
  if (kind === 1) return { kind: 'signal', value: value & 0x7f, message: what };
  return { kind: 'failed', value, message: `${what || 'starting'}: ${errnoText(value)}` };
}

/** Puts SNAPSHOT messages together. Holds at most one, of bounded size. */
export class SnapshotAssembler {
  readonly #message = new Accumulator(MAX_SNAPSHOT + 1024);
  #broken = false;

  /** A snapshot when this frame completes one; `broken` when the message is malformed or too long. */
  push(payload: Buffer, more: boolean): Snapshot | 'broken' | undefined {
    if ((more && payload.length === 0) || !this.#message.add(payload)) this.#broken = true;
    if (more) return undefined;
    const message = this.#message.take();
    const broken = this.#broken;
    this.#broken = false;
    if (broken || message.length < 10) return 'broken';
    const end = 10 + message.readUInt16LE(8);
    if (end > message.length) return 'broken';
    return {
      path: message.toString('utf8', 10, end),
      monotonicNs: message.readBigUInt64LE(),
      content: message.subarray(end),
    };
  }
}

/** @throws PolykernelError `invalid` */
export function watchPayload(paths: readonly string[], intervalMs: number): Buffer {
  if (paths.length > MAX_WATCHES) {
    throw new PolykernelError('invalid', `${paths.length} files are too many to watch; the most is ${MAX_WATCHES}`, {
      field: 'paths',
    });
  }
  const bad = paths.find(
    (path) => !/^\/(proc|sys)\//.test(path) || path.includes('/..') || Buffer.byteLength(path) > 255,
  );
  if (bad !== undefined) {
    throw new PolykernelError('invalid', `${bad} cannot be watched; only files under /proc and /sys can`, {
      field: 'paths',
      value: bad,
    });
  }
  return encodePairs([['interval-ms', String(intervalMs)], ...paths.map((path) => ['path', path] as const)]);
}

const { ENOENT, ENOTDIR, EACCES, EPERM, EROFS, EISDIR } = constants.errno;
const FILE_CODES = new Map<number, ErrorCode>([
  [0, 'kernel-died'],
  [ENOENT, 'not-found'],
  [ENOTDIR, 'not-found'],
  [EACCES, 'permission'],
  [EPERM, 'permission'],
  [EROFS, 'permission'],
  [EISDIR, 'invalid'],
]);

/** The error for a file transfer that ended with `exit`. `doing`: `reading` or `writing`. */
export function fileError(doing: string, path: string, exit: GuestExit): PolykernelError {
  const reason = exit.message.replace(/^(path|read|write): /, '');
  return new PolykernelError(
    FILE_CODES.get(exit.value) ?? 'internal',
    `${doing} ${path} in the guest failed: ${reason}`,
    {
      field: 'path',
      value: path,
    },
  );
}

/** What a guest's kernel tells of itself, by the number in the protocol. */
export const TROUBLES = ['out-of-memory', 'soft-lockup', 'rcu-stall', 'hung-task', 'kernel-bug'] as const;

export interface Trouble {
  kind: (typeof TROUBLES)[number];
  /** Since the kernel booted. */
  count: number;
  /** Its last words on it. */
  text: string;
}
