/** Files with variables for stack files, as Compose reads them: `NAME=value` a line, or `NAME: value`, with quotes, comments and variables. Pure. */
import { interpolate, VariableProblem, type Variables } from '../../core/interpolate.ts';
import { PolykernelError } from '../../sys/errors.ts';

/** Of all values of a file. */
const MOST_CHARACTERS = 1_048_576;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', $: '$$' };
const LINE =
  /[^\S\n]*(?:#[^\n]*|(?:export[^\S\n]+)?([A-Za-z_][A-Za-z0-9_.]*)[^\S\n]*((?:=|:(?=[^\S\n]|$))[^\S\n]*)?)?/my;
const SINGLE = /'([^']*)'/y;
const DOUBLE = /"((?:[^"\\]|\\[\s\S])*)"/y;
const PLAIN = /[^\n]*/y;
const REST = /[^\S\n]*(?:#[^\n]*)?(?=\n|$)/y;

/**
 * The variables that `text` sets, later ones over earlier ones. `outside`: values that count more than the file's own, also for
 * what the file itself refers to. Throws `invalid` with the line; no value is ever in a message.
 */
export function parseEnvFile(text: string, file: string, outside: Variables): Map<string, string> {
  const found = new Map<string, string>();
  const source = text.replaceAll('\r\n', '\n');
  const budget = { left: MOST_CHARACTERS };
  let at = 0;
  const read = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (match !== null) at = pattern.lastIndex;
    return match;
  };
  const fail = (reason: string, hint: string, from = at): never => {
    const line = source.slice(0, from).split('\n').length;
    throw new PolykernelError('invalid', `${file}:${line}: ${reason}`, { field: '--env-file', value: file, hint });
  };
  while (at < source.length) {
    const begin = at;
    const [, name, sign] = read(LINE)!;
    if (name === undefined || sign === undefined) {
      // A name alone is the variable of the environment, which counts anyway.
      if (read(REST) === null)
        fail('this is no NAME=VALUE', 'Write a name of letters, digits and _, then = and a value.');
    } else {
      const quote = source[at] === "'" || source[at] === '"' ? source[at] : undefined;
      const match = read(quote === "'" ? SINGLE : quote === '"' ? DOUBLE : PLAIN);
      if (match === null) fail(`the value of ${name} has no closing ${quote}`, `End it with ${quote}.`, begin);
      if (quote !== undefined && read(REST) === null)
        fail(`something follows the value of ${name}`, 'After quotes only a comment may come.');
      const written = contentOf(match!, quote);
      const lookup: Variables = (each) => outside(each) ?? found.get(each);
      try {
        const value = quote === "'" ? written : interpolate(written, lookup, budget.left);
        budget.left -= value.length;
        found.set(name, value);
      } catch (error) {
        if (!(error instanceof VariableProblem)) throw error;
        fail(`${name}: ${error.message}`, error.hint, begin);
      }
    }
    at++;
  }
  return found;
}

/** Escapes resolved and comments gone; variables are still in it. */
function contentOf([whole, inner]: RegExpExecArray, quote: string | undefined): string {
  if (quote === "'") return inner!;
  if (quote === '"') return inner!.replace(/\\([\s\S])/g, (_, character: string) => ESCAPES[character] ?? character);
  return whole.replace(/(^|[^\S\n])#.*$/, '').trim();
}
