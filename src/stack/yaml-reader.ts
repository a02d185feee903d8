/** Reads a YAML document piece by piece, keeping the place of every value and gathering problems instead of stopping. */
import { type Document, isAlias, isMap, isScalar, isSeq, type Node, parseDocument } from 'yaml';
import { closest } from '../sys/closest.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { Problem } from './stack.ts';

/** More than this is no stack file. */
const MOST_CHARACTERS = 1_048_576;
const MOST_PROBLEMS = 200;

/** A value and where it stands. `node` is null for an empty value (`cpus:`). */
export interface Place {
  path: string;
  node: Node | null;
  /** Offset of the value, or of its key where there is none. */
  offset: number;
}

export class YamlReader {
  readonly problems: Problem[] = [];
  readonly #source: string;
  readonly #document: Document.Parsed | undefined;
  /** Where each path was seen, for problems found later. */
  readonly #offsets = new Map<string, number>();

  constructor(source: string) {
    this.#source = source;
    if (source.length > MOST_CHARACTERS || source.includes('\0')) {
      const what = source.includes('\0') ? 'holds a NUL byte' : `has more than ${MOST_CHARACTERS} characters`;
      this.#push('', 0, `the file ${what}`, 'Give a YAML text file.');
      return;
    }
    this.#document = parseDocument(source, {
      uniqueKeys: false,
      prettyErrors: false,
      strict: true,
      logLevel: 'error',
    });
    for (const error of [...this.#document.errors, ...this.#document.warnings]) {
      this.#push('', error.pos[0], `not valid YAML: ${firstLine(error.message)}`, undefined);
    }
  }

  /** The top of the document, or undefined when it cannot be read at all. */
  top(): Place | undefined {
    if (this.#document === undefined || this.#document.errors.length > 0) return undefined;
    return { path: '', node: this.#document.contents, offset: 0 };
  }

  problem(place: Place, message: string, hint?: string): undefined {
    this.#push(place.path, place.offset, message, hint);
  }

  /** For what is found when the document is read already: at the value of `path`, or of the nearest one above it. */
  problemAt(path: string, message: string, hint?: string): void {
    let known = path;
    while (known !== '' && !this.#offsets.has(known)) known = known.replace(/(\.|^)[^.[]*$|\[\d+\]$/, '');
    this.#push(path, this.#offsets.get(known) ?? 0, message, hint);
  }

  /** `read`, whose PolykernelError or RangeError becomes a problem at `place`. */
  attempt<T>(place: Place, read: () => T, hint?: string): T | undefined {
    try {
      return read();
    } catch (error) {
      if (error instanceof PolykernelError) {
        // Parsers of units begin with the field, which the place says better.
        const message = error.message.startsWith(`${error.field}: `)
          ? error.message.slice(String(error.field).length + 2)
          : error.message;
        return this.problem(place, message, error.hint ?? hint);
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
    for (const { key, value } of node.items) {
      const keyNode = isAlias(key) ? key.resolve(this.#document!) : key;
      const offset = (key as Node | null)?.range?.[0] ?? place.offset;
      if (!isScalar(keyNode) || keyNode.value === null || typeof keyNode.value === 'object') {
        this.#push(place.path, offset, 'a key must be a plain word', undefined);
        continue;
      }
      const name = typeof keyNode.value === 'string' ? keyNode.value : (keyNode.source ?? String(keyNode.value));
      const path = place.path === '' ? name : `${place.path}.${name}`;
      if (first.has(name)) {
        const { line, column } = this.#position(first.get(name)!);
        this.#push(
          path,
          offset,
          `${JSON.stringify(name)} is given twice, first in line ${line}, column ${column}`,
          'Remove or rename one of them.',
        );
        continue;
      }
      first.set(name, offset);
      if (keys !== undefined && !keys.includes(name)) {
        const guess = closest(name, keys);
        this.#push(
          path,
          offset,
          `there is no option ${JSON.stringify(name)} here`,
          guess ? `Did you mean ${guess}?` : `There is ${keys.join(', ')}.`,
        );
        continue;
      }
      const node = value as Node | null;
      entries.set(name, this.#place(path, node, node?.range && !isEmpty(node) ? node.range[0] : offset));
    }
    return entries;
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
    if (isScalar(node) && typeof node.value === 'boolean') return node.value;
    return this.problem(place, `must be true or false, not ${describe(node)}`);
  }

  /** A number from `least` to `most`; whole unless `fraction`. */
  number(place: Place, least: number, most: number, fraction = false): number | undefined {
    const node = this.resolve(place);
    const value = isScalar(node) ? node.value : undefined;
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
    return this.problem(
      place,
      `is ${JSON.stringify(text)}, not ${words.join(' or ')}`,
      guess && `Did you mean ${guess}?`,
    );
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

  /** The node an alias stands for; reading goes only as deep as the options do, so aliases cannot pile up. */
  resolve({ node }: Place): Node | null {
    return isAlias(node) ? (node.resolve(this.#document!) ?? null) : node;
  }

  #place(path: string, node: Node | null, offset: number): Place {
    this.#offsets.set(path, offset);
    return { path, node, offset };
  }

  #push(path: string, offset: number, message: string, hint: string | undefined): void {
    if (this.problems.length >= MOST_PROBLEMS) return;
    this.problems.push({ path, ...this.#position(offset), message, hint });
  }

  // The library's own counter is wrong by lines where it meets some errors.
  #position(offset: number): { line: number; column: number } {
    const before = this.#source.slice(0, offset);
    return { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') };
  }
}

const isEmpty = (node: Node): boolean => isScalar(node) && node.value === null && !node.source;
const firstLine = (text: string): string => text.split('\n')[0]!;

function describe(node: Node | null): string {
  if (node === null) return 'nothing';
  if (isMap(node)) return 'a map';
  if (isSeq(node)) return 'a list';
  if (!isScalar(node)) return 'an alias of nothing';
  if (node.value === null) return 'nothing';
  const text = JSON.stringify(node.value) ?? String(node.value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
