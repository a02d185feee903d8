/** Where something is in a source, and how errors show it. */
import { PolykernelError } from '../../sys/errors.ts';

/** A file of a source. `text` has a character for each byte (Latin-1). */
export interface SourceFile {
  readonly name: string;
  readonly text: string;
}

/** A place in a source: `at` is an offset in `file.text`. */
export interface Place {
  readonly file: SourceFile;
  readonly at: number;
}

/** What cpp leaves at the beginnings of lines: `# 12 "board.dts" 1`, `#line 12 "board.dts"`. The name may have line ends, as dtc takes it, and is no longer than a path. */
export const LINE_DIRECTIVE = /#(?:line)?[ \t]+(\d{1,9})[ \t]+"((?:[^\\"]|\\[^\n]){0,4096})"(?:[ \t]+\d+){0,8}/y;
/** Columns of a source line that an error shows around its place. */
const SHOWN = 120;

/** `FILE:LINE:COLUMN: problem`, the line, and a caret below the place. */
export function sourceError({ file, at }: Place, problem: string, hint?: string): PolykernelError {
  const { name, line, column, text } = locate(file, at);
  const from = Math.max(0, column - SHOWN / 2);
  const shown = text.slice(from, from + SHOWN);
  // Tabs as they are in the line: the caret is then below its character, however wide they are.
  const indent = shown.slice(0, column - 1 - from).replace(/[^\t]/g, ' ');
  const place = `${name}:${line}:${column}`;
  return new PolykernelError('invalid', `${place}: ${problem}\n  | ${shown}\n  | ${indent}^`, { field: place, hint });
}

/** Line and column, from 1, as line directives have them; columns are characters of UTF-8. */
function locate(file: SourceFile, at: number): { name: string; line: number; column: number; text: string } {
  let { name } = file;
  let line = 1;
  let start = 0;
  for (let end = file.text.indexOf('\n'); end >= 0 && end < at; end = file.text.indexOf('\n', start)) {
    LINE_DIRECTIVE.lastIndex = start;
    const directive = file.text[start] === '#' ? LINE_DIRECTIVE.exec(file.text) : null;
    if (directive !== null) {
      line = Number(directive[1]);
      name = directive[2]!;
      end = file.text.indexOf('\n', LINE_DIRECTIVE.lastIndex);
      if (end < 0 || end >= at) break;
    } else {
      line++;
    }
    start = end + 1;
  }
  const end = file.text.indexOf('\n', at);
  const whole = file.text.slice(start, end < 0 ? undefined : end);
  return { name, line, column: utf8(file.text.slice(start, at)).length + 1, text: utf8(whole) };
}

const utf8 = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');
