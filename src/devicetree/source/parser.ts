/** The grammar of sources (6.2 to 6.4). Gives the tree with references that nobody has resolved yet. */
import { LIMITS, tooMany } from '../limits.ts';
import type { Reservation } from '../tree.ts';
import { BodyReader } from './body.ts';
import { u32Cell } from './cells.ts';
import { readInteger } from './expression.ts';
import { Lookup } from './lookup.ts';
import { addLabel, deleteNode, mergeInto, SourceNode, SourceProperty } from './nodes.ts';
import type { Place } from './place.ts';
import type { Scanner } from './scanner.ts';

export interface Parsed {
  readonly root: SourceNode;
  readonly lookup: Lookup;
  readonly reservations: readonly Reservation[];
  readonly isPlugin: boolean;
}

export function parse(scanner: Scanner): Parsed {
  return new Parser(scanner).source();
}

class Parser {
  readonly #scanner: Scanner;
  readonly #bodies: BodyReader;
  readonly #lookup = new Lookup();
  #isPlugin = false;
  #fragments = 0;

  constructor(scanner: Scanner) {
    this.#scanner = scanner;
    this.#bodies = new BodyReader(scanner, this.#lookup);
  }

  source(): Parsed {
    this.#headers();
    const reservations = this.#reservations();
    const root = this.#firstRoot();
    while (!Number.isNaN(this.#scanner.skip())) this.#topLevel(root);
    if (root.deleted) this.#scanner.fail('the root was deleted');
    return { root, lookup: this.#lookup, reservations, isPlugin: this.#isPlugin };
  }

  /** `/dts-v1/;`, perhaps `/plugin/;`, perhaps both again: files that are included have their own. */
  #headers(): void {
    const scanner: Scanner = this.#scanner;
    if (!scanner.take('/dts-v1/')) scanner.fail('a source begins with "/dts-v1/;"');
    for (let first = true; first || scanner.take('/dts-v1/'); first = false) {
      scanner.expect(';', 'behind /dts-v1/');
      scanner.skip();
      const { place } = scanner;
      const isPlugin = scanner.take('/plugin/');
      if (isPlugin) scanner.expect(';', 'behind /plugin/');
      if (!first && isPlugin !== this.#isPlugin) scanner.fail('only one of several headers has /plugin/', place);
      this.#isPlugin = isPlugin;
    }
  }

  /** `/memreserve/ ADDRESS SIZE;` (6.3). */
  #reservations(): Reservation[] {
    const found: Reservation[] = [];
    for (;;) {
      let labelled = false;
      while (this.#bodies.label() !== undefined) labelled = true;
      if (!this.#scanner.take('/memreserve/')) {
        if (labelled) this.#scanner.fail('only /memreserve/ and references may have labels here');
        return found;
      }
      if (found.length >= LIMITS.nodes) this.#scanner.fail(tooMany('nodes'));
      found.push({ address: this.#u64(), size: this.#u64() });
      this.#scanner.expect(';', 'behind /memreserve/');
    }
  }

  #u64(): bigint {
    const value = readInteger(this.#scanner);
    if (value === undefined) this.#scanner.fail(`a number is missing; here is ${this.#scanner.found()}`);
    return BigInt(value);
  }

  #firstRoot(): SourceNode {
    this.#scanner.skip();
    const { place } = this.#scanner;
    if (this.#scanner.take('/')) return this.#rooted(this.#bodies.read('', place));
    const reference = this.#scanner.reference();
    if (reference === undefined) this.#scanner.fail(`"/" is missing; here is ${this.#scanner.found()}`, place);
    if (!this.#isPlugin) this.#unknown(reference, place);
    const root = this.#rooted(new SourceNode('', place));
    this.#fragment(root, reference, place);
    return root;
  }

  #rooted(root: SourceNode): SourceNode {
    this.#lookup.root = root;
    return root;
  }

  #topLevel(root: SourceNode): void {
    const scanner: Scanner = this.#scanner;
    const { place } = scanner;
    if (scanner.take('/delete-node/')) deleteNode(this.#target());
    else if (scanner.take('/omit-if-no-ref/')) this.#target().omitIfUnused = true;
    else if (scanner.take('/')) this.#merge(root, this.#bodies.read('', place));
    else this.#onReference(root);
  }

  /** `&label { … };`, `&{/path} { … };`, perhaps with a new label. */
  #onReference(root: SourceNode): void {
    const scanner: Scanner = this.#scanner;
    const label = this.#bodies.label();
    scanner.skip();
    const { place } = scanner;
    const reference = scanner.reference();
    if (reference === undefined) scanner.fail(`a node is missing; here is ${scanner.found()}`);
    const target = this.#lookup.find(reference);
    // A path in a plugin is never one of its own nodes; a label may be.
    const isElsewhere = this.#isPlugin && label === undefined && (target === undefined || reference.startsWith('/'));
    if (isElsewhere) this.#fragment(root, reference, place);
    else {
      if (target === undefined) this.#unknown(reference, place);
      const body = this.#bodies.read('', place);
      if (label !== undefined) {
        addLabel(target.labels, label);
        this.#lookup.add(target);
      }
      this.#merge(target, body);
    }
  }

  /** The node of a reference that ends with a semicolon. */
  #target(): SourceNode {
    this.#scanner.skip();
    const { place } = this.#scanner;
    const reference = this.#scanner.reference();
    if (reference === undefined) this.#scanner.fail('a reference is missing', place);
    const node = this.#lookup.find(reference);
    if (node === undefined) this.#unknown(reference, place);
    this.#scanner.expect(';', 'behind the reference');
    return node;
  }

  #unknown(reference: string, place: Place): never {
    const form = reference.startsWith('/') ? `&{${reference}}` : `&${reference}`;
    this.#scanner.fail(
      `there is no node ${form} yet`,
      place,
      this.#isPlugin ? undefined : 'Of other trees only /plugin/ speaks.',
    );
  }

  #merge(node: SourceNode, later: SourceNode): void {
    mergeInto(node, later, (labelled, from) => {
      this.#lookup.forget(from);
      this.#lookup.add(labelled);
    });
  }

  /** What a plugin says of a node that is not its own: a fragment, as overlays have them. */
  #fragment(root: SourceNode, reference: string, place: Place): void {
    const fragment = this.#bodies.node(`fragment@${this.#fragments++}`, place);
    const isPath = reference.startsWith('/');
    const target = isPath
      ? new SourceProperty('target-path', Buffer.from(`${reference}\0`, 'latin1'), [], place)
      : new SourceProperty(
          'target',
          u32Cell(0xffff_ffff),
          [{ kind: 'phandle', name: reference, offset: 0, place }],
          place,
        );
    fragment.properties.add(target);
    fragment.adopt(this.#bodies.read('__overlay__', place, 2));
    root.adopt(fragment);
  }
}
