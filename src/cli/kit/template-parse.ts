/** Templates of `--format`, a part of Go's text/template: from text to what is to be done. Pure. */
import { PolykernelError } from '../../sys/errors.ts';

export type Operand =
  | { kind: 'literal'; value: unknown }
  /** `.a.b`, `$.a`, `$name.a`; `variable` is undefined for the dot. */
  | { kind: 'field'; variable: string | undefined; path: readonly string[] }
  | { kind: 'function'; name: string }
  | { kind: 'pipeline'; pipeline: Pipeline; path: readonly string[] };
/** The first operand, with the others as arguments. */
export type Call = readonly Operand[];
/** The result of each is the last argument of the next. */
export type Pipeline = readonly Call[];

export type TemplateNode =
  | { kind: 'text'; text: string }
  | { kind: 'print'; pipeline: Pipeline }
  | { kind: 'set'; name: string; pipeline: Pipeline }
  /** `name` stands for the value in both. */
  | { kind: 'if' | 'with'; name?: string; pipeline: Pipeline; body: TemplateNode[]; otherwise: TemplateNode[] }
  | { kind: 'range'; key?: string; item?: string; pipeline: Pipeline; body: TemplateNode[]; otherwise: TemplateNode[] };

export const templateError = (reason: string, hint = "Write such as '{{.Name}} {{.State}}'."): PolykernelError =>
  new PolykernelError('invalid', `--format: ${reason}`, { field: '--format', hint });

/** Throws `invalid`. */
export function parseTemplate(text: string): TemplateNode[] {
  const pieces = split(text);
  let at = 0;
  const body = (opener: string | undefined): { nodes: TemplateNode[]; end: string | undefined } => {
    const nodes: TemplateNode[] = [];
    while (at < pieces.length) {
      const piece = pieces[at++]!;
      if (typeof piece === 'string') {
        nodes.push({ kind: 'text', text: piece });
        continue;
      }
      const { source } = piece;
      const word = /^[a-z]+/.exec(source)?.[0];
      if (source.startsWith('/*')) continue;
      if (word === 'end' || word === 'else') {
        if (opener === undefined) throw templateError(`{{${word}}} ends nothing`);
        return { nodes, end: source };
      }
      nodes.push(word === 'if' || word === 'with' || word === 'range' ? block(word, source) : action(source));
    }
    if (opener !== undefined) throw templateError(`{{${opener}}} has no {{end}}`);
    return { nodes, end: undefined };
  };
  const block = (word: 'if' | 'with' | 'range', source: string): TemplateNode => {
    const head = new Reader(source.slice(word.length));
    const names = head.declared();
    if (word !== 'range' && names.length > 1) throw templateError(`{{${source}}} sets two variables`);
    const pipeline = head.whole();
    const { nodes, end } = body(word);
    let otherwise: TemplateNode[] = [];
    const [, chained, kind] = /^else\s+((if|with)\b.*)$/s.exec(end!) ?? [];
    if (chained !== undefined) otherwise = [block(kind as 'if' | 'with', chained)];
    else if (end !== 'end') ({ nodes: otherwise } = body('else'));
    const [first, second] = names;
    if (word !== 'range')
      return { kind: word, pipeline, body: nodes, otherwise, ...(first !== undefined && { name: first }) };
    const item = second ?? first;
    return {
      kind: 'range',
      pipeline,
      body: nodes,
      otherwise,
      ...(item !== undefined && { item }),
      ...(second !== undefined && { key: first! }),
    };
  };
  return body(undefined).nodes;
}

function action(source: string): TemplateNode {
  const reader = new Reader(source);
  const [name, more] = reader.declared();
  if (more !== undefined) throw templateError(`{{${source}}} sets two variables`);
  const pipeline = reader.whole();
  return name === undefined ? { kind: 'print', pipeline } : { kind: 'set', name, pipeline };
}

/** Text, and what stands between braces; `{{-` and `-}}` take the blanks beside them away. */
function split(text: string): (string | { source: string })[] {
  const pieces: (string | { source: string })[] = [];
  let trim = false;
  for (let at = 0; at <= text.length; ) {
    const begin = text.indexOf('{{', at);
    let plain = text.slice(at, begin === -1 ? undefined : begin);
    if (trim) plain = plain.trimStart();
    if (begin === -1) {
      pieces.push(plain);
      break;
    }
    const end = endOfAction(text, begin + 2);
    let source = text.slice(begin + 2, end);
    if (/^-\s/.test(source)) {
      plain = plain.trimEnd();
      source = source.slice(1);
    }
    trim = /\s-$/.test(source);
    pieces.push(plain, { source: (trim ? source.slice(0, -1) : source).trim() });
    at = end + 2;
  }
  return pieces.filter((piece) => piece !== '');
}

/** Where the braces are that end it: not those in quotes. */
function endOfAction(text: string, from: number): number {
  const pattern = /"(?:[^"\\]|\\.)*"|`[^`]*`|\}\}/y;
  for (let at = from; at < text.length; at++) {
    pattern.lastIndex = at;
    const match = pattern.exec(text)?.[0];
    if (match === '}}') return at;
    if (match !== undefined) at += match.length - 1;
  }
  throw templateError('{{ has no }}');
}

const TOKEN =
  /\s*(?:("(?:[^"\\]|\\.)*")|(`[^`]*`)|(-?\d+(?:\.\d+)?)|((?:\$\w*)?(?:\.\w+)+|\$\w*|\.)|(\w+)|([()|,]|:=))/y;

class Reader {
  readonly #tokens: string[] = [];
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
    for (let at = 0; source.slice(at).trim() !== ''; ) {
      TOKEN.lastIndex = at;
      const match = TOKEN.exec(source);
      if (match === null)
        throw templateError(`{{${source.trim()}}} is not understood at ${JSON.stringify(source.slice(at).trim())}`);
      this.#tokens.push(match[0].trim());
      at = TOKEN.lastIndex;
    }
  }

  /** The variables before `:=`. */
  declared(): string[] {
    const end = this.#tokens.indexOf(':=');
    if (end === -1) return [];
    const names = this.#tokens.slice(0, end).filter((token) => token !== ',');
    if (names.length < 1 || names.length > 2 || !names.every((name) => /^\$\w+$/.test(name)))
      throw templateError(`{{${this.#source.trim()}}} sets what is no variable`);
    this.#at = end + 1;
    return names;
  }

  whole(): Pipeline {
    const pipeline = this.#pipeline();
    if (this.#at < this.#tokens.length)
      throw templateError(`{{${this.#source.trim()}}} has one ${this.#tokens[this.#at]} too many`);
    return pipeline;
  }

  #pipeline(): Pipeline {
    const calls: Call[] = [];
    do {
      const call: Operand[] = [];
      while (this.#at < this.#tokens.length && !['|', ')'].includes(this.#tokens[this.#at]!))
        call.push(this.#operand());
      if (call.length === 0) throw templateError(`{{${this.#source.trim()}}} has nothing where a value must be`);
      calls.push(call);
    } while (this.#tokens[this.#at] === '|' && ++this.#at);
    return calls;
  }

  #operand(): Operand {
    const token = this.#tokens[this.#at++]!;
    if (token === '(') {
      const pipeline = this.#pipeline();
      if (this.#tokens[this.#at++] !== ')') throw templateError(`{{${this.#source.trim()}}} has no closing )`);
      const next = this.#tokens[this.#at];
      if (next === undefined || !/^\.\w/.test(next)) return { kind: 'pipeline', pipeline, path: [] };
      this.#at++;
      return { kind: 'pipeline', pipeline, path: next.slice(1).split('.') };
    }
    if (token.startsWith('"')) return { kind: 'literal', value: unquoted(token) };
    if (token.startsWith('`')) return { kind: 'literal', value: token.slice(1, -1) };
    if (/^-?\d/.test(token)) return { kind: 'literal', value: Number(token) };
    if (token.startsWith('.') || token.startsWith('$')) {
      const [head, ...path] = token.split('.');
      return { kind: 'field', variable: head === '' ? undefined : head, path: path.filter((name) => name !== '') };
    }
    if (token === 'true' || token === 'false') return { kind: 'literal', value: token === 'true' };
    if (token === 'nil') return { kind: 'literal', value: null };
    if (/^\w+$/.test(token)) return { kind: 'function', name: token };
    throw templateError(`{{${this.#source.trim()}}} has a ${token} where a value must be`);
  }
}

/** A tab and a line's end may stand in it as they are: of the shell's quotes they come so (format.ts). */
function unquoted(token: string): string {
  try {
    return JSON.parse(token.replaceAll('\t', '\\t').replaceAll('\n', '\\n')) as string;
  } catch {
    throw templateError(`${token} is no text`);
  }
}
