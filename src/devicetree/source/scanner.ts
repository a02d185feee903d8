/**
 * Tokens of a source. Which token may come next is the parser's to know, so that it asks for one; blanks, comments, line
 * directives and /include/ may stand between any two.
 */
import { LIMITS, tooMany, within } from '../limits.ts';
import { latin1 } from '../tree.ts';
import { hexDigit, isBlank, isLabel, isLabelStart, isName, isPath } from './characters.ts';
import { endOfQuoted, unescaped } from './escape.ts';
import type { SourceFiles } from './files.ts';
import { LINE_DIRECTIVE, type Place, type SourceFile, sourceError } from './place.ts';

const SLASH = 0x2f;
const STAR = 0x2a;
const HASH = 0x23;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

const INCLUDE = /\/include\/\s*"((?:[^\\"]|\\[\s\S]){0,4096})"/y;
const SUFFIX = /U?L{0,2}/y;
const DIGITS = /0[xX][0-9a-fA-F]+|[0-9]+/y;

/** For a line that only cpp can read. */
function cppHint({ file, at }: Place): string | undefined {
  const line = file.text.slice(file.text.lastIndexOf('\n', at - 1) + 1, at + 20);
  if (!/^[ \t]*#[ \t]*(?:include|define|undef|if|ifdef|ifndef|else|endif)\b/.test(line)) return undefined;
  return 'Macros and #include are done by cpp: `pk dt compile --cpp`, or give what cpp makes of it.';
}

export class Scanner {
  file: SourceFile;
  at = 0;
  #text: string;
  /** Where reading goes on at the end of the file. */
  readonly #including: Place[] = [];
  readonly #files: SourceFiles | undefined;
  #sourceBytes: number;

  constructor(file: SourceFile, files: SourceFiles | undefined) {
    this.file = file;
    this.#text = file.text;
    this.#files = files;
    this.#sourceBytes = file.text.length;
    within('sourceBytes', this.#sourceBytes);
  }

  get place(): Place {
    return { file: this.file, at: this.at };
  }

  fail(problem: string, place: Place = this.place, hint = cppHint(place)): never {
    throw sourceError(place, problem, hint);
  }

  /** Goes to the next token and gives its first character's code; NaN at the end of everything. */
  skip(): number {
    for (;;) {
      const code = this.#text.charCodeAt(this.at);
      if (isBlank(code)) this.at++;
      else if (code === SLASH && this.#comment()) continue;
      else if (code === HASH && this.#lineDirective()) continue;
      else if (Number.isNaN(code) && this.#including.length > 0) this.#enter(this.#including.pop()!);
      else return code;
    }
  }

  #comment(): boolean {
    const next = this.#text.charCodeAt(this.at + 1);
    if (next === STAR) {
      const end = this.#text.indexOf('*/', this.at + 2);
      if (end < 0) this.fail('this comment has no end');
      this.at = end + 2;
      return true;
    }
    if (next === SLASH) {
      const end = this.#text.indexOf('\n', this.at);
      this.at = end < 0 ? this.#text.length : end;
      return true;
    }
    return this.#include();
  }

  #lineDirective(): boolean {
    if (this.at > 0 && this.#text.charCodeAt(this.at - 1) !== 10) return false;
    LINE_DIRECTIVE.lastIndex = this.at;
    if (!LINE_DIRECTIVE.test(this.#text)) return false;
    this.at = LINE_DIRECTIVE.lastIndex;
    return true;
  }

  /** /include/ (6.1): the file takes the place of the words that name it. */
  #include(): boolean {
    INCLUDE.lastIndex = this.at;
    const found = INCLUDE.exec(this.#text);
    if (found === null) return false;
    if (this.#including.length >= LIMITS.includeDepth) this.fail(tooMany('includeDepth'));
    const { path, bytes } = this.fileNamed(found[1]!, this.place);
    this.at += found[0].length;
    this.#including.push(this.place);
    this.#enter({ file: { name: path, text: latin1(bytes) }, at: 0 });
    return true;
  }

  #enter({ file, at }: Place): void {
    this.file = file;
    this.#text = file.text;
    this.at = at;
  }

  /** The file that /include/ or /incbin/ at `place` names. */
  fileNamed(name: string, place: Place): { path: string; bytes: Uint8Array } {
    const most = LIMITS.sourceBytes - this.#sourceBytes;
    const found = this.#files?.read(name, place.file.name, most);
    if (found === undefined)
      this.fail(
        this.#files === undefined ? 'other files may not be read' : `there is no file ${JSON.stringify(name)}`,
        place,
        'Only files in and below the directories that the caller allows are read.',
      );
    if (found.bytes.length > most) this.fail(tooMany('sourceBytes'), place);
    this.#sourceBytes += found.bytes.length;
    return found;
  }

  /** Whether `word` is next; if it is, goes behind it. */
  take(word: string): boolean {
    if (this.skip() !== word.charCodeAt(0)) return false;
    if (word.length > 1 && !this.#text.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  /** Goes behind `word`, which has to be next `where`. */
  expect(word: string, where: string): void {
    if (!this.take(word)) this.fail(`${JSON.stringify(word)} is missing ${where}; here is ${this.found()}`);
  }

  /** What of `form`, a sticky expression, is next. */
  peek(form: RegExp): string | undefined {
    this.skip();
    form.lastIndex = this.at;
    return form.exec(this.#text)?.[0];
  }

  /** What is next, in words. */
  found(): string {
    const code = this.skip();
    if (Number.isNaN(code)) return 'the end of the source';
    return JSON.stringify(/[\w]+|./sy.exec(this.#text.slice(this.at, this.at + 40))?.[0] ?? '');
  }

  /** A label (6.2) with its colon; gives its name. */
  label(): string | undefined {
    if (!isLabelStart(this.skip())) return undefined;
    const from = this.at;
    let end = from + 1;
    while (isLabel(this.#text.charCodeAt(end))) end++;
    if (this.#text.charCodeAt(end) !== COLON) return undefined;
    this.at = end + 1;
    return this.#text.slice(from, end);
  }

  /** A node's or property's name. A backslash before it, for names that look like words of the language, is left out. */
  name(): string | undefined {
    const code = this.skip();
    const from = code === BACKSLASH ? this.at + 1 : this.at;
    let end = from;
    while (isName(this.#text.charCodeAt(end))) end++;
    if (end === from) return undefined;
    if (end - from > LIMITS.nameBytes) this.fail(tooMany('nameBytes'));
    this.at = end;
    return this.#text.slice(from, end);
  }

  /** `&label` or `&{/path}` (6.3): the label, or the path. */
  reference(): string | undefined {
    if (this.#text.charCodeAt(this.at) !== 0x26) return undefined;
    const isBraced = this.#text.charCodeAt(this.at + 1) === 0x7b;
    const from = this.at + (isBraced ? 2 : 1);
    if (isBraced ? this.#text.charCodeAt(from) !== SLASH : !isLabelStart(this.#text.charCodeAt(from))) return undefined;
    const belongs = isBraced ? isPath : isLabel;
    let end = from;
    while (belongs(this.#text.charCodeAt(end))) end++;
    if (isBraced && this.#text.charCodeAt(end) !== 0x7d) return undefined;
    this.at = isBraced ? end + 1 : end;
    return this.#text.slice(from, end);
  }

  /** Next byte of a byte string (6.4): two hexadecimal digits. */
  byte(): number | undefined {
    const high = hexDigit(this.skip());
    const low = hexDigit(this.#text.charCodeAt(this.at + 1));
    if (high < 0 || low < 0) return undefined;
    this.at += 2;
    return high * 16 + low;
  }

  /** A string in quotes, without them, escapes resolved (6.4). */
  string(): string | undefined {
    return this.skip() === QUOTE ? this.#quoted('string') : undefined;
  }

  /** A character in single quotes: its code (6.4). */
  character(): number | undefined {
    if (this.#text.charCodeAt(this.at) !== APOSTROPHE) return undefined;
    const { place } = this;
    const value = this.#quoted('character');
    if (value.length !== 1) this.fail(`${value.length} characters where one must be`, place);
    return value.charCodeAt(0);
  }

  #quoted(what: string): string {
    const end = endOfQuoted(this.#text, this.at);
    if (end < 0) this.fail(`this ${what} has no end`);
    const { file, at } = this;
    this.at = end;
    return unescaped(this.#text.slice(at + 1, end - 1), (offset, problem) =>
      this.fail(problem, { file, at: at + 1 + offset }),
    );
  }

  /** A number of at most 64 bits as C writes it, with a suffix such as ULL; a number where that is exact. */
  literal(): number | bigint | undefined {
    DIGITS.lastIndex = this.at;
    const digits = DIGITS.exec(this.#text)?.[0];
    if (digits === undefined) return undefined;
    const { place } = this;
    SUFFIX.lastIndex = this.at + digits.length;
    this.at = SUFFIX.lastIndex + SUFFIX.exec(this.#text)![0].length;
    if (digits.length <= 13 && (digits[0] !== '0' || digits.length === 1 || (digits.charCodeAt(1) | 32) === 120))
      return Number(digits);
    const isOctal = /^0[0-9]/.test(digits);
    if (isOctal && /[89]/.test(digits)) this.fail(`${digits} is octal, by its 0, but has other digits`, place);
    if (digits.length > 100) this.fail('a number of more than 100 digits', place);
    const value = BigInt(isOctal ? `0o${digits.slice(1)}` : digits);
    if (value > 0xffff_ffff_ffff_ffffn) this.fail(`${digits} has more than 64 bits`, place);
    return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }
}
