/** Standard output that respects its reader: waits for a slow one, ends quietly with one that is gone. */
import { once } from 'node:events';
import { asPolykernelError } from '../../sys/errors.ts';
import { markedText, plainJson, plainLine, plainText } from '../../sys/text.ts';

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

/** On standard error, after `pk: `. Guests, VMMs and tools may have a say in the text. */
export function complain(text: string): void {
  process.stderr.write(`pk: ${plainText(text)}\n`);
}

/** Columns as wide as their widest cell, two spaces apart; numbers to the right where `right` names the column. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): string {
  const cells = rows.map((row) => row.map((cell) => plainLine(cell)));
  const widths = head.map((title, column) =>
    cells.reduce((width, row) => Math.max(width, row[column]!.length), title.length),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        right.includes(head[column]!) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return `${[head, ...cells].map(line).join('\n')}\n`;
}

/** `5s`, `12m`, `3h`, `2d` since an ISO time; `-` when there is none. */
export function age(iso: string | null, now: number = Date.now()): string {
  if (iso === null) return '-';
  const seconds = Math.max(0, Math.round((now - Date.parse(iso)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)}h`;
  return `${Math.round(seconds / 86_400)}d`;
}

/**
 * A line on the terminal that says what is being waited for, shown only once something takes over 0.7 s, and erased
 * before anything else is written. Silent when standard error is no terminal.
 */
export class Progress {
  #text = '';
  #shown = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #began = Date.now();
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
    const elapsed = Date.now() - this.#began;
    if (elapsed < 700) return;
    this.#shown = true;
    process.stderr.write(`\r\x1b[K${this.#text} … ${(elapsed / 1000).toFixed(0)}s`);
  }
}
