/** Trees of files into and out of a guest as tar archives: its agent, run as a process more, packs and unpacks them. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PolykernelError } from '../sys/errors.ts';
import { plainLine } from '../sys/text.ts';
import { fileError, guestText } from './messages.ts';
import { errnoText, type GuestExit, type GuestProcess } from './process.ts';

/** Even where the guest has another root now, this leads to the program it was started with. */
const AGENT = '/proc/1/exe';

export interface TreeWords {
  /** The archive goes into the directory `path` under this name; empty: what is in it. */
  name: string;
  /** There has to be a directory at `path`. */
  isDirectory?: boolean | undefined;
  /** Owners are kept, and the bits of set-id programs. */
  keepsOwners?: boolean | undefined;
  /** 16 hexadecimal digits: no other kernel that runs has them. What one that had them died over is removed. */
  owner?: string | undefined;
}

const start = (command: readonly string[], env: Readonly<Record<string, string>> = {}) => ({
  command: [AGENT, ...command],
  env,
  cwd: '/',
  user: '0',
});

export const packing = (path: string, name: string) => start(['pack', path, name]);

export const unpacking = (path: string, { name, isDirectory, keepsOwners, owner }: TreeWords) => {
  const words = `${isDirectory ? 'd' : ''}${keepsOwners ? 'o' : ''}`;
  return start(['unpack', path, name, words], owner === undefined ? {} : { PK_COPY: owner });
};

/** See GuestLink.readTree(). */
export async function receiveTree(packer: GuestProcess, path: string, signal?: AbortSignal): Promise<Readable> {
  packer.stdin.end();
  const { stdout } = packer;
  const forget = () => packer.forget();
  signal?.addEventListener('abort', forget, { once: true });
  const failed = failureOf(packer, 'reading', path).then((error) => {
    signal?.removeEventListener('abort', forget);
    if (error !== undefined) stdout.destroy(error);
    return error;
  });
  await Promise.race([packer.firstOutput, failed]);
  // An end of output may come before what it says of why.
  if (stdout.waiting === 0) {
    const error = await failed;
    stdout.on('error', () => {});
    if (error !== undefined) throw error;
  }
  stdout.on('error', () => {});
  const whole = Readable.from(endingWith(stdout, failed), { objectMode: false });
  return whole.once('close', () => {
    stdout.destroy();
    forget();
  });
}

/** The end of the output alone would say that it is whole: why it ended comes later. */
async function* endingWith(output: Readable, failed: Promise<Error | undefined>): AsyncGenerator<Buffer> {
  yield* output;
  const error = await failed;
  if (error !== undefined) throw error;
}

/** See GuestLink.writeTree(). */
export async function sendTree(
  unpacker: GuestProcess,
  path: string,
  content: Readable | Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  const failed = failureOf(unpacker, 'writing', path);
  const forget = () => unpacker.forget();
  signal?.addEventListener('abort', forget, { once: true });
  unpacker.stdout.resume();
  try {
    if (content instanceof Uint8Array) unpacker.stdin.end(content);
    // One that is refused is not read to its end; one that breaks off is told as that.
    else await Promise.race([pipeline(content, unpacker.stdin), failed]);
    const error = await failed;
    if (error !== undefined) throw error;
  } finally {
    signal?.removeEventListener('abort', forget);
    unpacker.forget();
  }
}

/** What it said of why it failed, once it has ended; undefined when it has not. */
async function failureOf(process: GuestProcess, doing: string, path: string): Promise<PolykernelError | undefined> {
  let said = Buffer.alloc(0);
  process.stderr.on('data', (chunk: Buffer) => {
    if (said.length < 4096) said = Buffer.concat([said, chunk.subarray(0, 4096)]);
  });
  const exit = await process.exited;
  if (exit.kind === 'exit' && exit.value === 0) return undefined;
  if (exit.kind === 'failed') return fileError(doing, path, exit);
  const [, kind] = /^refused=(.*)/s.exec(said.toString()) ?? [];
  if (kind !== undefined)
    return new PolykernelError('invalid', `${path} is ${plainLine(kind.trim())}, and no file or directory`, {
      field: 'path',
      value: path,
      hint: `What it gives goes through a pipe: pk exec NAME head -c 1M ${path} > FILE`,
    });
  const [, what, number, where] = /^(errno|owner)=(\d{1,10}(?::\d{1,10})?) (.*)/s.exec(said.toString()) ?? [];
  // What is packed is named by its name in the archive, which begins with what it is to be called there.
  const shown = plainLine((where ?? '').trim())
    .slice(0, 1024)
    .replace(/\/\.?(?=\/)/g, '')
    .replace(/(?<=.)\/\.?$/, '')
    .replace(/^[^/]+(?=\/|$)/, () => (path.endsWith('/') ? path.slice(0, -1) : path));
  if (what === 'owner') return ownerError(shown || path, number!);
  const value = Number(number);
  if (!Number.isInteger(value))
    return fileError(doing, path, { kind: 'exit', value: -1, message: guestText(said) || endOf(exit) });
  return fileError(doing, shown || path, { kind: 'failed', value, message: errnoText(value) });
}

const ownerError = (path: string, owner: string): PolykernelError =>
  new PolykernelError('invalid', `writing ${path} in the guest failed: nothing there can belong to ${owner}`, {
    field: 'path',
    value: path,
    hint:
      'A volume has owners up to 65535, and one alone where the daemon is of a user without ranges in /etc/subuid and /etc/subgid.\n' +
      'Without --archive all of it is of root there.',
  });

const endOf = ({ kind, value }: GuestExit): string =>
  kind === 'signal' ? `its agent was ended by signal ${value}` : `its agent ended with ${value}`;

/** Of a kernel that an earlier version has started. */
export const tooOld = (name: string, lack: string): PolykernelError =>
  new PolykernelError('unavailable', `the agent in ${name} is of an earlier version, which ${lack}`, {
    hint: `Start it anew: pk restart ${name}.`,
  });
