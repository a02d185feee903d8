/** Joins this process's own terminal or pipes to a process in a guest. */
import { constants } from 'node:os';
import { pipeline } from 'node:stream/promises';
import { StringDecoder } from 'node:string_decoder';
import type { RemoteProcess } from '../../client/index.ts';
import type { StreamExit } from '../../instance/contract.ts';
import { plainText } from '../../sys/text.ts';
import { Insistence } from './insistence.ts';
import { codeOf, rawMode } from './signals.ts';

/** Always forwarded: of the first Node would open a debugger. */
const USER = ['SIGUSR1', 'SIGUSR2'] as const;
/** Forwarded without a terminal; with one, its keys do this, and the signals mean this process. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
/** The third of these lets go: a guest that does not answer hears none. Of SIGHUP programs are told often, to read something anew. */
const INSISTING = new Set<NodeJS.Signals>(['SIGINT', 'SIGTERM', 'SIGQUIT']);

export interface TerminalOptions {
  tty: boolean;
  /** Pass standard input; else it is closed at once. */
  stdin: boolean;
  /** What comes is an answer to a command of ours, not the output of one that the user has named: nothing in it acts on a terminal. */
  plain?: boolean;
  /** Whether its guest does not answer now, so that it hears no signal; `isNew`: one was sent since this was asked before. */
  isDeaf?: (isNew: boolean) => Promise<boolean>;
}

/** How often that is asked, once a signal was to end it, and for how long: what goes on after that has heard it. */
const ASK_MS = 500;
const ASKING_MS = 30_000;

/** Size of the terminal, or zeros when there is none. */
export function terminalSize(): { rows: number; columns: number } {
  return { rows: process.stdout.rows ?? 0, columns: process.stdout.columns ?? 0 };
}

/**
 * Carries bytes, signals and the terminal's size until the guest's process ends; the terminal's mode is restored on every
 * way out.
 */
export async function join(remote: RemoteProcess, options: TerminalOptions): Promise<StreamExit> {
  const undo = [
    forwardSignals(remote, options),
    ...(options.tty ? [rawMode('terminal'), followSize(remote)] : []),
    ...(options.tty && options.stdin ? [letGoByKeys(remote)] : []),
  ];
  if (options.stdin) {
    process.stdin.on('error', () => remote.stdin.end());
    process.stdin.pipe(remote.stdin);
  } else {
    remote.stdin.end();
  }
  remote.stdin.on('error', () => {});
  try {
    const outputs = [
      copy(remote.stdout, process.stdout, options.plain),
      copy(remote.stderr, process.stderr, options.plain),
    ];
    const exit = await remote.exited;
    await Promise.all(outputs);
    return exit;
  } finally {
    for (const each of undo) each();
    process.stdin.unpipe();
    process.stdin.pause();
  }
}

async function copy(from: NodeJS.ReadableStream, to: NodeJS.WritableStream, plain = false): Promise<void> {
  const copied = plain ? pipeline(from, plainly, to, { end: false }) : pipeline(from, to, { end: false });
  await copied.catch(() => {});
}

async function* plainly(pieces: AsyncIterable<string | Uint8Array>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  for await (const piece of pieces)
    yield plainText(typeof piece === 'string' ? piece : decoder.write(Buffer.from(piece)));
  yield plainText(decoder.end());
}

/**
 * Signals go to the guest's process. One that would end it lets go of one that has not begun, is a command of ours, or is found to be deaf; the
 * third lets go in any case. Returns what ends that.
 */
export function forwardSignals(
  remote: RemoteProcess,
  { tty, plain = false, isDeaf }: Omit<TerminalOptions, 'stdin'>,
): () => void {
  const names = tty ? USER : [...USER, ...ENDING];
  let hasBegun = false;
  let insisted = 0;
  let timer: NodeJS.Timeout | undefined;
  let [isAsking, isUnasked, isOver] = [false, false, false];
  let askUntil = 0;
  remote.started.then(
    () => {
      hasBegun = true;
    },
    () => {},
  );
  const letGo = (name: NodeJS.Signals) => {
    remote.close();
    process.exit(codeOf(name));
  };
  const letGoIfDeaf = async (name: NodeJS.Signals) => {
    const isNew = isUnasked;
    isUnasked = false;
    const deaf = await isDeaf?.(isNew).catch(() => false);
    if (isOver) return;
    if (deaf) letGo(name);
    isAsking = performance.now() < askUntil;
    if (isAsking) timer = setTimeout(() => void letGoIfDeaf(name), ASK_MS);
  };
  const handler = (name: NodeJS.Signals) => {
    if (INSISTING.has(name)) {
      insisted += 1;
      if (!hasBegun || plain || insisted >= 3) letGo(name);
      isUnasked = true;
      askUntil = performance.now() + ASKING_MS;
      if (!isAsking) {
        isAsking = true;
        void letGoIfDeaf(name);
      }
    }
    remote.signal(constants.signals[name]);
  };
  for (const name of names) process.on(name, handler);
  return () => {
    isOver = true;
    for (const name of names) process.off(name, handler);
    clearTimeout(timer);
  };
}

/** A guest that does not answer hears no key either. */
function letGoByKeys(remote: RemoteProcess): () => void {
  const insistence = new Insistence();
  const onKeys = (keys: Buffer) => {
    if (!insistence.pressed(keys, performance.now())) return;
    remote.close();
    process.exit(codeOf('SIGINT'));
  };
  const onOutput = () => insistence.heard();
  process.stdin.on('data', onKeys);
  for (const output of [remote.stdout, remote.stderr]) output.on('data', onOutput);
  return () => {
    process.stdin.off('data', onKeys);
    for (const output of [remote.stdout, remote.stderr]) output.off('data', onOutput);
  };
}

function followSize(remote: RemoteProcess): () => void {
  const resize = () => {
    const { rows, columns } = terminalSize();
    remote.resize(rows, columns);
  };
  process.on('SIGWINCH', resize);
  return () => void process.off('SIGWINCH', resize);
}
