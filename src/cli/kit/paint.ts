/** Colour for terminals: 16-colour escapes, so that it follows the reader's theme. */
const CODES = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const;
export type Paint = keyof typeof CODES;

/** Whether standard output is to be coloured: a terminal, and NO_COLOR (no-color.org) is not set. */
export const wantsColor = (): boolean =>
  process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';

export const painter =
  (color: boolean) =>
  (paint: Paint, text: string): string =>
    color ? `\x1b[${CODES[paint]}m${text}\x1b[0m` : text;
