/** The values of a YAML document with variables filled in: after parsing, so that no value of a variable becomes structure. */
import { isMap, isScalar, isSeq, type Node, Scalar } from 'yaml';
import { hasVariables, interpolate, VariableProblem, type Variables } from './interpolate.ts';

/** Of all values of a file together. */
const MOST_CHARACTERS = 1_048_576;
const INTEGER = /^[-+]?\d+$/;
const DECIMAL = /^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$/;

/** Tells what is wrong at an offset in the file. */
type Tell = (offset: number, message: string, hint: string) => void;

export class VariableFiller {
  readonly #source: string;
  readonly #variables: Variables;
  readonly #tell: Tell;
  readonly #filled = new Map<Scalar, Scalar>();
  readonly #results = new Map<Node, 'filled' | 'failed'>();
  readonly #holders = new Map<Node, boolean>();
  #left = MOST_CHARACTERS;

  constructor(source: string, variables: Variables, tell: Tell) {
    this.#source = source;
    this.#variables = variables;
    this.#tell = tell;
  }

  /** The node, or what stands there with variables filled in. What cannot be filled in is told, once, and null. */
  resolve(node: Node | null): Node | null {
    if (!isScalar(node) || typeof node.value !== 'string' || !node.value.includes('$')) return node;
    const known = this.#filled.get(node) ?? this.#fill(node, node.value);
    this.#filled.set(node, known);
    return known;
  }

  /** Whether it could not be filled in, which is told already. */
  hasFailed(resolved: Node | null): boolean {
    return resolved !== null && this.#results.get(resolved) === 'failed';
  }

  /** The number or boolean that a variable gave, also where the text is quoted; else the value as it stands. */
  typed(resolved: Node | null): unknown {
    if (!isScalar(resolved)) return undefined;
    const { value } = resolved;
    return typeof value === 'string' && this.#results.has(resolved) ? reread(value) : value;
  }

  /** Whether anything at or below `node` comes from a variable. `target`: what an alias stands for. */
  holds(node: Node | null, target: (node: Node | null) => Node | null): boolean {
    const first = target(node);
    if (first === null) return false;
    const known = this.#holders.get(first);
    if (known !== undefined) return known;
    const seen = new Set<Node>();
    const open: (Node | null)[] = [first];
    const isIn = (at: Node): boolean => {
      if (isScalar(at)) return typeof at.value === 'string' && hasVariables(at.value);
      if (isMap(at)) for (const { value } of at.items) open.push(value as Node | null);
      if (isSeq(at)) for (const item of at.items) open.push(item as Node | null);
      return false;
    };
    while (open.length > 0) {
      const at = target(open.pop() ?? null);
      if (at === null || seen.has(at) || this.#holders.get(at) === false) continue;
      seen.add(at);
      if (!isIn(at)) continue;
      this.#holders.set(first, true);
      return true;
    }
    for (const each of seen) this.#holders.set(each, false);
    return false;
  }

  #fill(node: Scalar, value: string): Scalar {
    const result = new Scalar<unknown>(null);
    if (node.range) result.range = node.range;
    if (node.type !== undefined) result.type = node.type;
    try {
      const text = interpolate(value, this.#variables, this.#left);
      this.#left -= text.length;
      result.source = text;
      // What is quoted is a text, as anywhere in YAML; typed() is for those who want a number all the same.
      result.value = node.type === 'PLAIN' && hasVariables(value) ? reread(text) : text;
      this.#results.set(result, 'filled');
    } catch (error) {
      if (!(error instanceof VariableProblem)) throw error;
      this.#results.set(result, 'failed');
      this.#tell(this.#offset(node, value, error.at), error.message, error.hint);
    }
    return result;
  }

  /** Of the dollar at `at` in the value: as many dollars come before it in the file. */
  #offset({ range }: Scalar, value: string, at: number): number {
    if (!range) return 0;
    const written = this.#source.slice(range[0], range[1]);
    let found = -1;
    for (let count = value.slice(0, at).split('$').length; count > 0; count--) {
      found = written.indexOf('$', found + 1);
      if (found === -1) return range[0];
    }
    return range[0] + found;
  }
}

/** As YAML 1.2 reads a plain word, null apart: a variable that is empty is an empty text. */
function reread(text: string): unknown {
  if (/^(true|True|TRUE)$/.test(text)) return true;
  if (/^(false|False|FALSE)$/.test(text)) return false;
  return INTEGER.test(text) || DECIMAL.test(text) ? Number(text) : text;
}
