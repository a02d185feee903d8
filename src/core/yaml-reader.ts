/** Reads a YAML document piece by piece, keeping the place of every value and gathering problems instead of stopping. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import { closest } from '../sys/closest.ts';
import { PolykernelError, withoutField } from '../sys/errors.ts';
import type { Variables } from './interpolate.ts';
import { isMergeKey, Merges } from './yaml-merge.ts';
import { VariableFiller } from './yaml-variables.ts';

/** More than this is no stack file. */
const MOST_CHARACTERS = 1_048_576;
const MOST_PROBLEMS = 200;
const MOST_PATH = 200;
const MOST_MESSAGE = 400;

/** Something wrong in a file. Lines and columns count from 1. */
export interface Problem {
  /** `kernels.web.partition.cpus`; empty for the file as a whole. */
  path: string;
  line: number;
  column: number;
  message: string;
  hint: string | undefined;
}

/** A value and where it stands. `node` is null for an empty value (`cpus:`). */
export interface Place {
  path: string;
  node: Node | null;
  /** Offset of the value, or of its key where there is none. */
  offset: number;
  /** Offset of the key it stands at; its own where it has none. */
  keyOffset: number;
}

export class YamlReader {
  readonly problems: Problem[] = [];
  readonly #length: number;
  /** Offset at which each line begins. */
  readonly #lines: readonly number[];
  readonly #document: Document.Parsed | undefined;
  /** What each alias stands for. The library's own search walks the whole document for every alias. */
  readonly #aliased = new Map<Node, Node>();
  /** Where each path was seen, for problems found later. */
  readonly #offsets = new Map<string, number>();
  readonly #filler: VariableFiller;
  readonly #insteadOf: (path: string) => string | undefined;
  readonly #merges = new Merges((node) => this.#target(node));

  /**
   * `variables`: what `$NAME` in values stands for. `insteadOf`: what to write instead of a key that there is not, by its path;
   * undefined: what comes nearest.
   */
  constructor(
    source: string,
    variables: Variables = () => undefined,
    insteadOf: (path: string) => string | undefined = () => undefined,
  ) {
    this.#insteadOf = insteadOf;
    this.#filler = new VariableFiller(source, variables, (...problem) => this.#push('', ...problem));
    this.#length = source.length;
    this.#lines = lineStarts(source);
    if (source.length > MOST_CHARACTERS || source.includes('\0')) {
      const isLong = source.length > MOST_CHARACTERS;
      const what = isLong ? `has more than ${MOST_CHARACTERS} characters` : 'holds a NUL byte';
      this.#push('', isLong ? 0 : source.indexOf('\0'), `the file ${what}`, 'Give a YAML text file.');
      return;
    }
    const document = parseDocument(source, {
      uniqueKeys: false,
      prettyErrors: false,
      strict: true,
      logLevel: 'error',
    });
    // Behind the nesting that the parser gave up on, it sees errors that are none.
    const tooDeep = document.errors.find(({ code }) => code === 'RESOURCE_EXHAUSTION');
    const told = tooDeep === undefined ? [...document.errors, ...document.warnings] : [tooDeep];
    for (const error of told) {
      // What is said of each looks at its line, which may be all of the file.
      if (this.isFull) break;
      // Every tag is refused below, at its value.
      if (error.code !== 'TAG_RESOLVE_FAILED') this.#push('', error.pos[0], ...wordsOf(error, source));
    }
    const { yaml } = document.directives;
    if (yaml.explicit === true && yaml.version !== '1.2') {
      const hint = 'Leave the %YAML line out, or say 1.2.';
      this.#push('', source.indexOf('%YAML'), `YAML ${yaml.version} is not understood`, hint);
    } else if (document.errors.length === 0) {
      this.#document = document;
      this.#inspect(document);
    } else if (this.problems.length === 0) {
      const error = document.errors[0]!;
      this.#push('', error.pos[0], ...wordsOf(error, source));
    }
  }

  /** Resolves aliases, to the last anchor of their name above them, and refuses tags. */
  #inspect(document: Document.Parsed): void {
    const anchors = new Map<string, Node>();
    visit(document, {
      Node: (_key, node) => {
        if (isAlias(node)) {
          const target = anchors.get(node.source);
          if (target !== undefined) this.#aliased.set(node, target);
          return;
        }
        if (node.anchor !== undefined) anchors.set(node.anchor, node);
        if (node.tag !== undefined) {
          const tag = node.tag.replace(/^tag:yaml\.org,2002:/, '!!');
          const hint = 'Leave it out, and quote what is to be a text.';
          this.#push('', node.range?.[0] ?? 0, `the tag ${tag} is not understood`, hint);
        }
      },
    });
  }

  /** The top of the document, or undefined when it cannot be read at all. */
  top(): Place | undefined {
    if (this.#document === undefined) return undefined;
    return { path: '', node: this.#document.contents, offset: 0, keyOffset: 0 };
  }

  /** The problems in the order of the file, with a word on those that are not told. */
  report(): Problem[] {
    const sorted = [...this.problems].sort((a, b) => a.line - b.line || a.column - b.column);
    if (!this.isFull) return sorted;
    const { line, column } = sorted.at(-1)!;
    const message = `only ${MOST_PROBLEMS} problems are told`;
    return [...sorted, { path: '', line, column, message, hint: 'Correct these first.' }];
  }

  /** Whether no more problems are told. */
  get isFull(): boolean {
    return this.problems.length >= MOST_PROBLEMS;
  }

  /** What follows from a variable that is not set is not told. */
  problem(place: Place, message: string, hint?: string): undefined {
    if (this.#filler.hasFailed(this.resolve(place))) return;
    this.#push(place.path, place.offset, message, hint);
  }

  /** For what is found when the document is read already: at the value of `path`, or of the nearest one above it. */
  problemAt(path: string, message: string, hint?: string): void {
    let known = path;
    while (known !== '' && !this.#offsets.has(known)) {
      known = known.slice(0, Math.max(0, known.lastIndexOf('.'), known.lastIndexOf('[')));
    }
    this.#push(path, this.#offsets.get(known) ?? 0, message, hint);
  }

  /** `read`, whose PolykernelError or RangeError becomes a problem at `place`. */
  attempt<T>(place: Place, read: () => T, hint?: string): T | undefined {
    try {
      return read();
    } catch (error) {
      if (error instanceof PolykernelError) {
        return this.problem(place, withoutField(error), error.hint ?? hint);
      }
      if (error instanceof RangeError) return this.problem(place, error.message, hint);
      throw error;
    }
  }

  /**
   * The entries of a map. With `keys`, others are problems with a did-you-mean; keys that come twice are problems at the
   * later place and name the first. Undefined, with a problem, for anything that is no map.
   */
  map(place: Place, keys?: readonly string[]): Map<string, Place> | undefined {
    const node = this.resolve(place);
    if (!isMap(node))
      return this.problem(place, `must be a map, not ${describe(node)}`, keys && `Its keys: ${keys.join(', ')}.`);
    const entries = new Map<string, Place>();
    const first = new Map<string, number>();
    const merges: Node[] = [];
    for (const pair of node.items) {
      if (this.isFull) break;
      const name = this.#keyOf(place, pair);
      if (name === undefined) continue;
      const offset = (pair.key as Node).range?.[0] ?? place.offset;
      if (first.has(name)) {
        const { line, column } = this.#position(first.get(name)!);
        this.#push(
          below(place, name),
          offset,
          `${quoted(name)} is given twice, first in line ${line}, column ${column}`,
          'Remove or rename one of them.',
        );
        continue;
      }
      first.set(name, offset);
      if (isMergeKey(this.#target(pair.key as Node))) merges.push(pair.value as Node);
      else this.#enter(entries, place, name, pair, keys);
    }
    for (const value of merges) {
      for (const pair of this.#merged(place, value)) {
        if (this.isFull) break;
        const name = this.#keyOf(place, pair);
        if (name === undefined || first.has(name)) continue;
        first.set(name, place.offset);
        this.#enter(entries, place, name, pair, keys);
      }
    }
    return entries;
  }

  /** The name that a key is, or undefined with a problem. */
  #keyOf(place: Place, { key }: Pair<unknown, unknown>): string | undefined {
    const node = this.#target(key as Node | null);
    const offset = (key as Node | null)?.range?.[0] ?? place.offset;
    if (!isScalar(node) || node.value === null || typeof node.value === 'object') {
      this.#push(place.path, offset, 'a key must be a plain word', undefined);
      return undefined;
    }
    const name = typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
    if (!/\$[{A-Za-z_]/.test(name)) return name;
    this.#push(below(place, name), offset, `the key ${quoted(name)} holds a variable`, 'Only values may hold them.');
    return undefined;
  }

  /** Makes it an entry, unless it is none of `keys`. What begins with `x-` beside known keys is the writer's own. */
  #enter(
    entries: Map<string, Place>,
    place: Place,
    name: string,
    { key, value }: Pair<unknown, unknown>,
    keys: readonly string[] | undefined,
  ): void {
    const path = below(place, name);
    const offset = (key as Node | null)?.range?.[0] ?? place.offset;
    if (keys !== undefined && !keys.includes(name)) {
      if (name.startsWith('x-')) return;
      const guess = closest(name, keys);
      this.#push(
        path,
        offset,
        `there is no option ${quoted(name)} here`,
        this.#insteadOf(path) ?? (guess ? `Did you mean ${guess}?` : `There is ${keys.join(', ')}.`),
      );
      return;
    }
    const node = value as Node | null;
    entries.set(name, this.#place(path, node, node?.range && !isEmpty(node) ? node.range[0] : offset, offset));
  }

  #merged(place: Place, value: Node | null): readonly Pair<unknown, unknown>[] {
    const pairs = this.#merges.pairs(value);
    if (Array.isArray(pairs)) return pairs;
    const path = below(place, '<<');
    const offset = value?.range?.[0] ?? place.offset;
    const lost = isAlias(value) && !this.#aliased.has(value) ? `, and *${value.source} is an alias of nothing` : '';
    if (pairs === undefined)
      this.#push(
        path,
        offset,
        `a merge key stands for a map or a list of maps${lost}`,
        'Write <<: *name or <<: [*a, *b].',
      );
    else this.#push(path, offset, 'merge keys bring in too much', 'Write some of it out.');
    return [];
  }

  /** The items of a list. Undefined, with a problem, for anything that is no list. */
  list(place: Place, hint?: string): Place[] | undefined {
    const node = this.resolve(place);
    if (!isSeq(node)) return this.problem(place, `must be a list, not ${describe(node)}`, hint);
    return node.items.map((item, index) =>
      this.#place(`${place.path}[${index}]`, item as Node | null, (item as Node | null)?.range?.[0] ?? place.offset),
    );
  }

  /** The text of a scalar as written: numbers and booleans as their text. Undefined, with a problem, for anything else. */
  text(place: Place, what = 'a text', hint?: string): string | undefined {
    const node = this.resolve(place);
    if (isScalar(node) && node.value !== null && typeof node.value !== 'object') {
      return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
    }
    return this.problem(place, `must be ${what}, not ${describe(node)}`, hint);
  }

  boolean(place: Place): boolean | undefined {
    const node = this.resolve(place);
    const value = this.#filler.typed(node);
    if (typeof value === 'boolean') return value;
    return this.problem(place, `must be true or false, not ${describe(node)}`);
  }

  /** A number from `least` to `most`; whole unless `fraction`. */
  number(place: Place, least: number, most: number, fraction = false): number | undefined {
    const node = this.resolve(place);
    const value = this.#filler.typed(node);
    const kind = fraction ? 'a number' : 'a whole number';
    if (typeof value !== 'number' || !Number.isFinite(value) || (!fraction && !Number.isInteger(value))) {
      return this.problem(place, `must be ${kind}, not ${describe(node)}`);
    }
    if (value >= least && value <= most) return value;
    return this.problem(place, `is ${value}; it must be ${kind} from ${least} to ${most}`);
  }

  /** One of `words`. */
  word<Word extends string>(place: Place, words: readonly Word[]): Word | undefined {
    const text = this.text(place, words.join(' or '));
    if (text === undefined || words.includes(text as Word)) return text as Word | undefined;
    const guess = closest(text, words);
    return this.problem(place, `is ${quoted(text)}, not ${words.join(' or ')}`, guess && `Did you mean ${guess}?`);
  }

  /** Whether a map stands there. */
  isMap(place: Place): boolean {
    return isMap(this.resolve(place));
  }
  isList(place: Place): boolean {
    return isSeq(this.resolve(place));
  }
  /** Whether a number stands there, not a text of digits. */
  isNumber(place: Place): boolean {
    const node = this.resolve(place);
    return isScalar(node) && typeof node.value === 'number';
  }

  /** Whether anything there comes from a variable. */
  hasVariables({ node }: Place): boolean {
    return this.#filler.holds(node, (each) => this.#target(each));
  }

  /**
   * The node an alias stands for, with its variables filled in; reading goes only as deep as the options do, so aliases cannot
   * pile up.
   */
  resolve({ node }: Place): Node | null {
    return this.#filler.resolve(this.#target(node));
  }

  #target(node: Node | null): Node | null {
    return isAlias(node) ? (this.#aliased.get(node) ?? node) : node;
  }

  #place(path: string, node: Node | null, offset: number, keyOffset = offset): Place {
    this.#offsets.set(path, offset);
    return { path, node, offset, keyOffset };
  }

  #push(path: string, offset: number, message: string, hint: string | undefined): void {
    if (this.isFull) return;
    const place = this.#position(offset);
    this.problems.push({ path: clipped(path, MOST_PATH), ...place, message: clipped(message, MOST_MESSAGE), hint });
  }

  // The library's own counter is wrong by lines where it meets some errors.
  #position(offset: number): { line: number; column: number } {
    const within = Math.min(offset, this.#length);
    const line = this.#lines.findLastIndex((start) => start <= within);
    return { line: line + 1, column: within - this.#lines[line]! + 1 };
  }
}

function lineStarts(source: string): number[] {
  const starts = [0];
  for (let end = source.indexOf('\n'); end !== -1; end = source.indexOf('\n', end + 1)) starts.push(end + 1);
  return starts;
}

/** What the parser found, with what to do; the library's own words where they are meant for people. */
function wordsOf({ code, message, pos }: YAMLError, source: string): [message: string, hint: string | undefined] {
  switch (code) {
    case 'MULTIPLE_DOCS':
      return ['the file holds a second document', 'Keep one; give every other stack a file of its own.'];
    case 'RESOURCE_EXHAUSTION':
      return ['this is nested too deeply', 'No option is deeper than a few levels.'];
    case 'TAB_AS_INDENT':
      return ['not valid YAML: a tab indents this line', 'Indent with spaces.'];
    default:
      return [`not valid YAML: ${message.split('\n')[0]}`, hasVariableBefore(source, pos[0]) ? QUOTE_HINT : undefined];
  }
}

const QUOTE_HINT = 'Within [] and {}, and with ": " in it, a value with a variable must be quoted: "$\u007bNAME}".';

/** Whether a variable in braces begins at `offset`, or before it in its line: its braces may be what was misread. */
const hasVariableBefore = (source: string, offset: number): boolean =>
  source.slice(source.lastIndexOf('\n', offset - 1) + 1, offset + 8).includes('${');

const below = ({ path }: Place, name: string): string => (path === '' ? name : `${path}.${name}`);

const isEmpty = (node: Node): boolean => isScalar(node) && node.value === null && !node.source;
const clipped = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most)}…` : text);
const quoted = (text: string): string => JSON.stringify(clipped(text, 60));

function describe(node: Node | null): string {
  if (node === null) return 'nothing';
  if (isMap(node)) return 'a map';
  if (isSeq(node)) return 'a list';
  if (!isScalar(node)) return 'an alias of nothing';
  if (node.value === null) return 'nothing';
  return clipped(JSON.stringify(node.value) ?? String(node.value), 60);
}
