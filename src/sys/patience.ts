/**
 * File systems may never answer: a file server that is dead, or a program of another user behind FUSE. Who asks one waits in a
 * thread of Node's pool, of which there are four for all that is done with files, and for as long as it takes. So the paths that
 * people give are asked for with a deadline, one of each mount at a time, and never on the main thread.
 */
import { close, constants, fstat, open, read, readFileSync, type Stats, stat } from 'node:fs';
import { promisify } from 'node:util';
import { PolykernelError } from './errors.ts';
import { Turns } from './turns.ts';

const PATIENCE_MS = 20_000;
/** Threads that mounts which never answer may keep all together. */
const all = new Turns(3);
/** Of mounts that are asked just now, by their paths. */
const asked = new Map<string, { turns: Turns; users: number }>();

const [openAsync, statAsync, fstatAsync, closeAsync, readAsync] = [
  promisify(open),
  promisify(stat),
  promisify(fstat),
  promisify(close),
  promisify(read),
];

/**
 * What `look` gives, which asks the file system of `path`, absolute. Rejects with `unavailable` naming the path when there is no
 * answer in time, else as `look` does. @param patienceMs in which it has to get its turn and end
 */
export async function patiently<T>(path: string, look: () => Promise<T>, patienceMs = PATIENCE_MS): Promise<T> {
  return await patienceWith(path, patienceMs)(look);
}

/** patiently() for many looks at one path: finding its mount takes longer than most of them. */
export function patienceWith(path: string, patienceMs = PATIENCE_MS): <T>(look: () => Promise<T>) => Promise<T> {
  const mount = mountOf(path);
  return async (look) => {
    const late = Promise.withResolvers<never>();
    const waiting = new AbortController();
    const timer = setTimeout(() => {
      const error = silent(path);
      waiting.abort(error);
      late.reject(error);
    }, patienceMs);
    try {
      return await Promise.race([inTurn(mount, look, waiting.signal), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
}

async function inTurn<T>(mount: string, look: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const of = asked.get(mount) ?? { turns: new Turns(1), users: 0 };
  asked.set(mount, of);
  of.users += 1;
  const quietly = () => {};
  try {
    return await of.turns.run(() => all.run(look, quietly, signal), quietly, signal);
  } finally {
    of.users -= 1;
    if (of.users === 0) asked.delete(mount);
  }
}

/**
 * Those of `paths` where there is nothing: proven by their file systems, of which one that does not answer in time keeps what it has.
 */
export async function goneOf(paths: readonly string[], patienceMs: number): Promise<ReadonlySet<string>> {
  const gone = new Set<string>();
  const look = async (path: string) => {
    const error: NodeJS.ErrnoException | undefined = await patiently(path, () => statAsync(path), patienceMs).then(
      () => undefined,
      (cause) => cause,
    );
    if (error?.code === 'ENOENT' || error?.code === 'ENOTDIR') gone.add(path);
  };
  await Promise.all(paths.map(look));
  return gone;
}

/** The mount that a path lies in, as far as the path itself tells. */
function mountOf(path: string): string {
  let mount = '/';
  for (const point of mountPoints()) {
    if (point.length > mount.length && (path === point || path.startsWith(`${point}/`))) mount = point;
  }
  return mount;
}

let lastMounts: { text: string; points: readonly string[] } | undefined;

function mountPoints(): readonly string[] {
  const text = readFileSync('/proc/self/mountinfo', 'utf8');
  if (lastMounts?.text !== text) {
    const escaped = text.split('\n').map((line) => line.split(' ', 5)[4] ?? '/');
    const decode = (point: string) =>
      point.replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
    lastMounts = { text, points: escaped.map(decode) };
  }
  return lastMounts.points;
}

/** A regular file that is open for reading, as it was then. */
export interface OpenFile {
  fd: number;
  status: Stats;
  /** Its first bytes. */
  head: Buffer;
}

/** Opens a regular file, and reads up to `headBytes`; undefined if it is something else. For closePatiently(). Rejects as patiently(). */
export async function openPatiently(
  path: string,
  headBytes: number,
  patienceMs = PATIENCE_MS,
): Promise<OpenFile | undefined> {
  let isLate = false;
  const look = async () => {
    const fd = await openAsync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    try {
      const status = await fstatAsync(fd);
      if (status.isFile()) {
        const { buffer, bytesRead } = await readAsync(fd, Buffer.alloc(headBytes), 0, headBytes, 0);
        if (!isLate) return { fd, status, head: buffer.subarray(0, bytesRead) };
      }
    } catch (error) {
      await closeAsync(fd);
      throw error;
    }
    await closeAsync(fd);
    return undefined;
  };
  try {
    return await patiently(path, look, patienceMs);
  } catch (error) {
    isLate = true;
    throw error;
  }
}

/** Never rejects: a file that was only read loses nothing. */
export async function closePatiently(path: string, fd: number): Promise<void> {
  await patiently(path, () => closeAsync(fd)).catch(() => {});
}

const silent = (path: string): PolykernelError =>
  new PolykernelError('unavailable', `the file system of ${path} does not answer`, {
    value: path,
    hint: 'See whether the file server or FUSE program behind it lives (`findmnt -T PATH`), or unmount it.',
  });
