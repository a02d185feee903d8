/** Programs that must succeed, and filters from one stream to a file. Built on run(), which never judges the status. */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PolykernelError } from './errors.ts';
import { type RunOptions, type RunResult, run } from './process.ts';
import { plainText } from './text.ts';

const MESSAGE_LINES = 6;
const MESSAGE_CHARACTERS = 4096;
/** Downloads over a slow line take long; nothing here may take for ever. */
const DEADLINE_MS = 30 * 60_000;

/**
 * Runs a program that must end with status 0.
 * Throws as run() does, and `internal` with the end of its standard error when the status is another.
 */
export async function runCommand(
  argv: readonly string[],
  options: RunOptions & { hint?: string } = {},
): Promise<RunResult> {
  const result = await run(argv, { deadlineMs: DEADLINE_MS, ...options });
  if (result.code !== 0) throw failure(argv, result.code ?? result.signal, result.stderr, options.hint);
  return result;
}

/**
 * Feeds `input` to a filter such as `xz -dc` and lets it write to an open file.
 * Throws `unavailable` when the program is missing, `internal` when it fails.
 */
export async function filterToFile(
  argv: readonly string[],
  input: Readable,
  stdoutFd: number,
  signal?: AbortSignal,
): Promise<void> {
  const [program, ...args] = argv;
  const child = spawn(program!, args, { stdio: ['pipe', stdoutFd, 'pipe'], ...(signal && { signal }) });
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4096);
  });
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') return reject(error);
      reject(new PolykernelError('unavailable', `the program ${program} is not installed`, { cause: error }));
    });
    child.once('close', (code, killed) => resolve(code ?? killed ?? 1));
  });
  // A filter that ends early breaks the pipe; its status says whether that was a failure.
  const fed = pipeline(input, child.stdin!).catch((error: NodeJS.ErrnoException) => error);
  const [status, inputError] = await Promise.all([ended, fed]);
  if (status !== 0) throw failure(argv, status, stderr);
  if (inputError && inputError.code !== 'EPIPE') throw inputError;
}

function failure(argv: readonly string[], status: number | string | null, stderr: string, hint?: string) {
  const tail =
    plainText(stderr.slice(-MESSAGE_CHARACTERS)).trim().split('\n').slice(-MESSAGE_LINES).join('\n') ||
    'it said nothing';
  const ending = typeof status === 'number' ? `with status ${status}` : `by ${status}`;
  return new PolykernelError('internal', `\`${argv.join(' ')}\` ended ${ending}: ${tail}`, { hint });
}
