/** Programs that must succeed. Built on run(), which never judges the status. */
import { PolykernelError } from './errors.ts';
import { type RunOptions, type RunResult, run } from './process.ts';

const MESSAGE_LINES = 6;
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

function failure(argv: readonly string[], status: number | string | null, stderr: string, hint?: string) {
  const tail = stderr.trim().split('\n').slice(-MESSAGE_LINES).join('\n') || 'it said nothing';
  const ending = typeof status === 'number' ? `with status ${status}` : `by ${status}`;
  return new PolykernelError('internal', `\`${argv.join(' ')}\` ended ${ending}: ${tail}`, { hint });
}
