/** Running programs whose output is the log. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { PolykernelError } from '../../src/sys/errors.ts';

export type Inside = readonly string[];
export type Log = (line: string) => void;

/** Runs a program to its end, each line of its output to `log`. Rejects with `internal` when it fails, and when aborted. */
export async function programRuns(
  argv: Inside,
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const [program, ...args] = argv;
  // A group of its own: Ctrl-C is for us, and then all of it is killed.
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { ...env } });
  const kill = () => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  };
  signal.addEventListener('abort', kill, { once: true });
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', log);
  try {
    await new Promise<void>((resolve, reject) => {
      child.on('error', (error) => reject(new PolykernelError('unavailable', `${program}: ${error.message}`)));
      child.on('close', (code, killed) => {
        if (code === 0) resolve();
        else reject(new PolykernelError('internal', `it ended with ${code ?? killed}`));
      });
    });
  } finally {
    signal.removeEventListener('abort', kill);
  }
  signal.throwIfAborted();
}
