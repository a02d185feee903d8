/** Runs a program to its end. Argument vectors only: no shell ever sees a value. */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PolykernelError } from './errors.ts';

export interface CommandOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal | undefined;
  /** What the program reads; nothing by default. */
  input?: Readable;
  /** An open file that takes standard output, instead of it being collected. */
  stdoutFd?: number;
  /** Exit codes besides 0 that are no failure. */
  accept?: readonly number[];
  /** What to do when the program is missing, for people. */
  hint?: string;
}

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Kept of each stream: enough for any message, bounded whatever the program prints. */
const OUTPUT_LIMIT = 16 * 1024 * 1024;
const MESSAGE_LINES = 6;

/**
 * Runs `file` with `args` and resolves once it has ended with 0 (or an accepted code).
 * @throws PolykernelError `unavailable` if the program is missing, `internal` with the end of its stderr if it failed.
 */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  options.signal?.throwIfAborted();
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    signal: options.signal,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', options.stdoutFd ?? 'pipe', 'pipe'],
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  // A program that stops reading early ends our write with EPIPE; its exit code says whether that was a failure.
  const fed = options.input && child.stdin ? pipeline(options.input, child.stdin).catch((e: Error) => e) : undefined;
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') return reject(error);
      reject(new PolykernelError('unavailable', `the program ${file} is missing`, { hint: options.hint, cause: error }));
    });
    child.once('close', (status, signal) => resolve(status ?? (signal ? 128 : 1)));
  });
  const inputError = await fed;
  if (inputError && (inputError as NodeJS.ErrnoException).code !== 'EPIPE') throw inputError;
  const result = { code, stdout: stdout(), stderr: stderr() };
  if (code !== 0 && !options.accept?.includes(code)) {
    const tail = result.stderr.trim().split('\n').slice(-MESSAGE_LINES).join('\n');
    const shown = [file, ...args].join(' ');
    throw new PolykernelError('internal', `\`${shown}\` failed with code ${code}: ${tail || 'it said nothing'}`, {
      hint: options.hint,
    });
  }
  return result;
}

function collect(stream: Readable | null): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= OUTPUT_LIMIT) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}
