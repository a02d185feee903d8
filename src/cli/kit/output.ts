/** Standard output that respects its reader: waits for a slow one, ends quietly with one that is gone. */
import { once } from 'node:events';
import { asPolykernelError } from '../../sys/errors.ts';
import { markedText, plainJson, plainLine, plainText } from '../../sys/text.ts';
import type { Invocation } from './command.ts';

// A reader that closed the pipe (`pk logs web | head`) is not an error; the code is that of death by SIGPIPE.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(141);
  complain(asPolykernelError(error, 'writing standard output').message);
  process.exit(125);
});
process.stderr.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 141 : 125));

/**
 * Writes and waits until the reader has room again. Of text only what is visible, and our colours; bytes as they are: they are
 * the streams of workloads and consoles, for which there is no wrong content.
 */
export async function print(
  content: string | Uint8Array,
  to: NodeJS.WriteStream & { fd: 1 | 2 } = process.stdout,
): Promise<void> {
  const data = typeof content === 'string' ? markedText(content) : content;
  if (data.length > 0 && !to.write(data)) await once(to, 'drain');
}

/** Waits until the system has all that was written: what a slow reader of a pipe has no room for is still in this process. */
export async function flush(): Promise<void> {
  const streams = [process.stdout, process.stderr].filter((stream) => stream.writableLength > 0);
  await Promise.all(streams.map((stream) => new Promise((resolve) => stream.write('', resolve))));
}

/** Writes to standard output and waits until the system has it. Never settles when it cannot: the process ends then. */
export function written(data: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(data, (error) => {
      if (!error) resolve();
    });
  });
}

export function printJson(value: unknown): Promise<void> {
  return print(`${plainJson(JSON.stringify(value, null, 2))}\n`);
}

/** One value a line. */
export function printJsonLine(value: unknown): Promise<void> {
  return print(`${plainJson(JSON.stringify(value))}\n`);
}

/**
 * Shows `value` in words for people, or with --json as the daemon says it, and gives the exit code of a command that has done
 * what it was asked.
 */
export async function answer<T>(invocation: Invocation, value: T, text: (value: T) => string): Promise<0> {
  await (invocation.flag('json') ? printJson(value) : print(text(value)));
  return 0;
}

/**
 * On standard error, after `pk: `, with what to do about it below. Guests, VMMs and tools may have a say in the text: what is of several
 * lines is of theirs, and marked as the end of a console is.
 */
export function complain(text: string, hint?: string): void {
  const shown = plainText(text).replace(/\n(?! {2}\| )/g, '\n  | ');
  const next = hint === undefined ? '' : `    ${plainText(hint).replaceAll('\n', '\n    ')}\n`;
  process.stderr.write(`pk: ${shown}\n${next}`);
}

/**
 * A line on the terminal that says what is being waited for, shown only once something takes over 0.7 s, and erased
 * before anything else is written. Silent when standard error is no terminal.
 */
export class Progress {
  #text = '';
  #shown = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #began = performance.now();
  readonly #enabled: boolean;

  constructor(enabled = process.stderr.isTTY === true) {
    this.#enabled = enabled;
  }
  say(text: string): void {
    this.#text = plainLine(text);
    if (!this.#enabled) return;
    this.#timer ??= setInterval(() => this.#draw(), 250).unref();
    if (this.#shown) this.#draw();
  }
  clear(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#shown) process.stderr.write('\r\x1b[K');
    this.#shown = false;
  }
  #draw(): void {
    const elapsed = performance.now() - this.#began;
    if (elapsed < 700) return;
    this.#shown = true;
    process.stderr.write(`\r\x1b[K${this.#text} … ${(elapsed / 1000).toFixed(0)}s`);
  }
}
