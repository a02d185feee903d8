/** Joins this process's own terminal or pipes to a process in a guest. */
import { constants } from 'node:os';
import { pipeline } from 'node:stream/promises';
import type { StreamExit } from '../api/index.ts';
import type { RemoteProcess } from '../client/index.ts';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

export interface TerminalOptions {
  tty: boolean;
  /** Pass standard input; else it is closed at once. */
  stdin: boolean;
}

/** Size of the terminal, or zeros when there is none. */
export function terminalSize(): { rows: number; columns: number } {
  return { rows: process.stdout.rows ?? 0, columns: process.stdout.columns ?? 0 };
}

/**
 * Carries bytes, signals and the terminal's size until the guest's process ends; the terminal's mode is restored on every
 * way out. A third interrupt lets go of it by force.
 */
export async function join(remote: RemoteProcess, options: TerminalOptions): Promise<StreamExit> {
  const restore = options.tty ? rawTerminal(remote) : () => {};
  const unhook = options.tty ? () => {} : forwardSignals(remote);
  if (options.stdin) {
    process.stdin.on('error', () => remote.stdin.end());
    process.stdin.pipe(remote.stdin);
  } else {
    remote.stdin.end();
  }
  remote.stdin.on('error', () => {});
  try {
    const outputs = [copy(remote.stdout, process.stdout), copy(remote.stderr, process.stderr)];
    const exit = await remote.exited;
    await Promise.all(outputs);
    return exit;
  } finally {
    restore();
    unhook();
    process.stdin.unpipe();
    process.stdin.pause();
  }
}

async function copy(from: NodeJS.ReadableStream, to: NodeJS.WritableStream): Promise<void> {
  await pipeline(from, to, { end: false }).catch(() => {});
}

function rawTerminal(remote: RemoteProcess): () => void {
  const resize = () => {
    const { rows, columns } = terminalSize();
    remote.resize(rows, columns);
  };
  if (process.stdin.isTTY) process.stdin.setRawMode(true);
  process.on('SIGWINCH', resize);
  const restore = () => {
    process.off('SIGWINCH', resize);
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
  };
  process.once('exit', restore);
  return () => {
    process.off('exit', restore);
    restore();
  };
}

function forwardSignals(remote: RemoteProcess): () => void {
  let interrupts = 0;
  const handlers = FORWARDED.map((name) => {
    const handler = () => {
      if (name === 'SIGINT' && ++interrupts >= 3) {
        remote.close();
        process.exit(128 + constants.signals.SIGINT);
      }
      remote.signal(constants.signals[name]);
    };
    process.on(name, handler);
    return [name, handler] as const;
  });
  return () => {
    for (const [name, handler] of handlers) process.off(name, handler);
  };
}
