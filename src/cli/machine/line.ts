/** Lines made of styled pieces, so that widths are counted before colour is added. */
export interface Span {
  text: string;
  /** SGR parameters, such as `2` or `48;5;33;38;5;16`; absent = plain. */
  sgr?: string | undefined;
}
export type Line = readonly Span[];

export const DIM = '2';
export const BOLD = '1';

export const plain = (text: string, sgr?: string): Span => ({ text, sgr });

/** Columns on the terminal. All characters in use are one column wide. */
export function widthOf(line: Line): number {
  return line.reduce((sum, { text }) => sum + [...text].length, 0);
}

/** `text` in at most `width` columns, ending in an ellipsis when something was cut. */
export function clip(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, Math.max(width - 1, 0)).join('')}…`;
}

/** A box `width` columns wide around `body`, whose lines have at most `width - 4` columns. */
export function box(title: string, body: readonly Line[], width: number): Line[] {
  const shown = clip(title, width - 6);
  const rest = '─'.repeat(width - [...shown].length - 5);
  return [
    [plain('╭─ ', DIM), plain(shown, BOLD), plain(` ${rest}╮`, DIM)],
    ...body.map((line): Line => {
      const padding = ' '.repeat(Math.max(width - 4 - widthOf(line), 0));
      return [plain('│ ', DIM), ...line, plain(`${padding} │`, DIM)];
    }),
    [plain(`╰${'─'.repeat(width - 2)}╯`, DIM)],
  ];
}

/** `head`, then `words` one space apart, on as many lines as it takes; further lines start below the first word. */
export function wrap(head: Line, words: readonly string[], width: number): Line[] {
  const indent = widthOf(head);
  const room = Math.max(width - indent, 1);
  const texts: string[] = [''];
  for (const word of words.flatMap((each) => pieces(each, room))) {
    const last = texts.at(-1)!;
    if (last === '') texts[texts.length - 1] = word;
    else if (last.length + 1 + word.length <= room) texts[texts.length - 1] = `${last} ${word}`;
    else texts.push(word);
  }
  return texts.map((text, index) => [...(index === 0 ? head : [plain(' '.repeat(indent))]), plain(text)]);
}

/** A word too long for a line is cut after a comma where it has one, as lists of CPUs have. */
function pieces(word: string, room: number): string[] {
  const found: string[] = [];
  let rest = word;
  while (rest.length > room) {
    const comma = rest.lastIndexOf(',', room - 1);
    const cut = comma > 0 ? comma + 1 : room;
    found.push(rest.slice(0, cut));
    rest = rest.slice(cut);
  }
  return [...found, rest];
}

export function render(lines: readonly Line[], color: boolean): string {
  const text = lines.map((line) =>
    joined(line)
      .map(({ text, sgr }) => (color && sgr !== undefined ? `\x1b[${sgr}m${text}\x1b[0m` : text))
      .join('')
      .trimEnd(),
  );
  return `${text.join('\n')}\n`;
}

/** Neighbours of one style as one, which halves the escapes of a large machine. */
function joined(line: Line): Line {
  const spans: Span[] = [];
  for (const span of line) {
    const last = spans.at(-1);
    if (last !== undefined && last.sgr === span.sgr) spans[spans.length - 1] = plain(last.text + span.text, span.sgr);
    else spans.push(span);
  }
  return spans;
}
