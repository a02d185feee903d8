/** What signals to this process do, so that it never ends with a terminal in raw mode or a start half made. */
import { constants } from 'node:os';

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** The exit code of a process that `name` ended. */
export const codeOf = (name: NodeJS.Signals): number => 128 + constants.signals[name];

/**
 * Until the returned function is called, keys go to the program unread by the terminal, and where another terminal is shown
 * (`shows: 'terminal'`), what that prints is left as it is. A signal that would end this process ends it through `exit`, since
 * dying of it would leave the terminal raw. Does nothing when standard input is no terminal.
 */
export function rawMode(shows: 'lines' | 'terminal'): () => void {
  if (process.stdin.isTTY !== true) return () => {};
  process.stdin.setRawMode(true);
  // Node's raw mode puts a carriage return before each line end, which moves the cursor of full-screen programs. It takes
  // this back, too, as it goes back to what was before.
  if (shows === 'terminal') {
    const { spawnSync } = process.getBuiltinModule('node:child_process');
    const { PATH } = process.env;
    // It waits for a terminal that is held (Ctrl-S); without it lines look wrong, and all else works.
    const limits = { timeout: 2_000, killSignal: 'SIGKILL' } as const;
    spawnSync('stty', ['raw'], { stdio: ['inherit', 'ignore', 'ignore'], env: { PATH }, ...limits });
  }
  const restore = () => void process.stdin.setRawMode(false);
  const end = (name: NodeJS.Signals) => process.exit(codeOf(name));
  process.once('exit', restore);
  for (const name of ENDING) process.on(name, end);
  return () => {
    process.off('exit', restore);
    for (const name of ENDING) process.off(name, end);
    restore();
  };
}

export interface Interruptible {
  signal: AbortSignal;
  /** 128+N of the signal that came. */
  code(): number;
  /** `work`, or the interruption, whichever is first: for what does not watch `signal` itself. */
  unlessInterrupted<T>(work: Promise<T>): Promise<T>;
  /** Signals do again what they did before. */
  release(): void;
}

/**
 * A signal that would end this process aborts `signal` instead, so that what was begun can be taken back. A second one
 * ends the process at once: taking back needs a daemon that answers.
 */
export function interruptible(): Interruptible {
  const controller = new AbortController();
  let code = 0;
  const handler = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(codeOf(name));
    code = codeOf(name);
    controller.abort(new Error('interrupted'));
  };
  for (const name of ENDING) process.on(name, handler);
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => {});
  controller.signal.addEventListener('abort', () => aborted.reject(controller.signal.reason));
  return {
    signal: controller.signal,
    code: () => code,
    unlessInterrupted: (work) => Promise.race([work, aborted.promise]),
    release: () => {
      for (const name of ENDING) process.off(name, handler);
    },
  };
}
