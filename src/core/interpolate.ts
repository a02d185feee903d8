/**
 * Variables in a text, as Compose writes them: `$NAME`, `${NAME}`, with `:-x` and `-x` for a default, `:?text` and `?text` for what
 * is to be said without one, `:+x` and `+x` for what stands where there is one. These may hold variables again. `$$` is a dollar.
 * Pure.
 */

/** The value of a variable; undefined where there is none. */
export type Variables = (name: string) => string | undefined;

/** What is wrong with a variable, and where in the text. */
export class VariableProblem extends Error {
  readonly at: number;
  readonly hint: string;

  constructor(at: number, message: string, hint: string) {
    super(message);
    this.at = at;
    this.hint = hint;
  }
}

type Part = string | Reference;
interface Reference {
  name: string;
  at: number;
  operator: string;
  operand: readonly Part[];
}

/** Deeper than any default of a default. */
const MOST_DEPTH = 16;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const OPERATOR = /:?[-?+]/y;
const DOLLAR_HINT = 'Write $$ for a dollar that is no variable.';

/**
 * `text` with its variables filled in, of at most `most` characters. Throws VariableProblem for what is no variable, for one that is
 * not set and has no default, and for what becomes too long.
 */
export function interpolate(text: string, variables: Variables, most: number): string {
  const budget = { left: most };
  const { parts } = partsOf(text, 0, 0);
  return fill(parts, variables, budget);
}

/** Whether `text` holds anything to be filled in; a `$$` is nothing. */
export const hasVariables = (text: string): boolean => text.includes('$') && text.replaceAll('$$', '').includes('$');

/** Up to the end of the text, or, inside of a variable, to the brace that ends it. */
function partsOf(text: string, from: number, depth: number): { parts: Part[]; end: number } {
  const parts: Part[] = [];
  let at = from;
  for (let begin = from; ; begin = at) {
    while (at < text.length && text[at] !== '$' && !(depth > 0 && text[at] === '}')) at++;
    if (at > begin) parts.push(text.slice(begin, at));
    if (text[at] !== '$') return { parts, end: at };
    if (text[at + 1] === '$') {
      parts.push('$');
      at += 2;
      continue;
    }
    const { reference, end } = referenceAt(text, at, depth);
    parts.push(reference);
    at = end;
  }
}

function referenceAt(text: string, at: number, depth: number): { reference: Reference; end: number } {
  const isBraced = text[at + 1] === '{';
  const name = match(NAME, text, at + (isBraced ? 2 : 1));
  if (name === '') throw new VariableProblem(at, `${isBraced ? '${' : '$'} is not followed by a name`, DOLLAR_HINT);
  const afterName = at + (isBraced ? 2 : 1) + name.length;
  if (!isBraced) return { reference: { name, at, operator: '', operand: [] }, end: afterName };
  if (depth >= MOST_DEPTH) throw new VariableProblem(at, 'variables are nested too deeply', 'One default is enough.');
  const operator = match(OPERATOR, text, afterName);
  const begin = afterName + operator.length;
  const { parts, end } = operator === '' ? { parts: [], end: begin } : partsOf(text, begin, depth + 1);
  if (text[end] !== '}') {
    const what = end >= text.length ? 'has no end' : `goes on with ${JSON.stringify(text[end])}`;
    const hint = `Write \${${name}}, or with one of :- - :? ? :+ + after the name; $$ is a dollar.`;
    throw new VariableProblem(at, `the variable ${name} ${what}`, hint);
  }
  return { reference: { name, at, operator, operand: parts }, end: end + 1 };
}

function fill(parts: readonly Part[], variables: Variables, budget: { left: number }): string {
  let result = '';
  for (const part of parts) {
    const text = typeof part === 'string' ? part : standsFor(part, variables, budget);
    if (typeof part === 'string') spend(budget, text, 0);
    result += text;
  }
  return result;
}

function standsFor({ name, at, operator, operand }: Reference, variables: Variables, budget: { left: number }): string {
  const given = variables(name);
  const value = operator.startsWith(':') && given === '' ? undefined : given;
  switch (operator.at(-1)) {
    case '+':
      return value === undefined ? '' : fill(operand, variables, budget);
    case '-':
      if (value === undefined) return fill(operand, variables, budget);
      break;
    case '?': {
      if (value !== undefined) break;
      const text = fill(operand, variables, budget);
      const what = given === undefined ? 'is not set' : 'is empty';
      throw new VariableProblem(at, `the variable ${name} ${what}${text && `: ${text}`}`, `Set ${name}.`);
    }
  }
  if (value === undefined) {
    const hint = `Set it, in the environment or a file given with --env-file, or give a default: \${${name}:-x}. $$${name} is left to the workload.`;
    throw new VariableProblem(at, `the variable ${name} is not set`, hint);
  }
  spend(budget, value, at);
  return value;
}

function spend(budget: { left: number }, text: string, at: number): void {
  budget.left -= text.length;
  if (budget.left < 0) throw new VariableProblem(at, 'is too long with its variables', 'Pass long texts in a file.');
}

/** What `pattern`, a sticky one, finds at `at`. */
function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}
