/** Bodies of nodes (6.3): `{ PROPERTIES CHILDREN };` */
import { LIMITS, tooMany } from '../limits.ts';
import type { Lookup } from './lookup.ts';
import { addLabel, SourceNode, SourceProperty } from './nodes.ts';
import type { Place } from './place.ts';
import type { Scanner } from './scanner.ts';
import { ValueReader } from './value.ts';

const OPEN = 0x7b;
const EMPTY = { value: new Uint8Array(), markers: [] };

/** What stands before a name. */
interface Prefix {
  readonly labels: readonly string[];
  readonly omit: boolean;
}

/** Makes nodes of a source, and counts them. */
export class BodyReader {
  readonly #scanner: Scanner;
  readonly #values: ValueReader;
  readonly #lookup: Lookup;
  #nodes = 0;
  #properties = 0;
  #labels = 0;

  constructor(scanner: Scanner, lookup: Lookup) {
    this.#scanner = scanner;
    this.#values = new ValueReader(scanner);
    this.#lookup = lookup;
  }

  /** Reads the body of a node that is so deep in its tree. */
  read(name: string, place: Place, depth = 0): SourceNode {
    const scanner: Scanner = this.#scanner;
    if (depth > LIMITS.depth) scanner.fail(tooMany('depth'), place);
    const node = this.node(name, place);
    scanner.expect('{', 'at the beginning of a node');
    while (!scanner.take('}')) this.#member(node, depth);
    scanner.expect(';', 'behind a node');
    return node;
  }

  /** An empty node. */
  node(name: string, place: Place): SourceNode {
    if (++this.#nodes > LIMITS.nodes) this.#scanner.fail(tooMany('nodes'), place);
    return new SourceNode(name, place);
  }

  /** A label, or undefined when none is next. */
  label(): string | undefined {
    const label = this.#scanner.label();
    if (label !== undefined && ++this.#labels > LIMITS.markers) this.#scanner.fail(tooMany('markers'));
    return label;
  }

  /** A property, a child, or an order to delete one. */
  #member(node: SourceNode, depth: number): void {
    const scanner: Scanner = this.#scanner;
    const prefix = this.#prefix();
    const { place } = scanner;
    if (scanner.take('/delete-property/')) this.#addProperty(node, this.#deletedProperty(place), prefix);
    else if (scanner.take('/delete-node/')) node.adopt(this.#deletedNode(place));
    else {
      const name = this.#name('a property or node');
      if (scanner.skip() === OPEN) this.#addChild(node, this.read(name, place, depth + 1), prefix);
      else this.#addProperty(node, this.#property(name, place), prefix);
    }
  }

  #prefix(): Prefix {
    const labels: string[] = [];
    let omit = false;
    for (;;) {
      const label = this.label();
      if (label !== undefined) labels.push(label);
      else if (this.#scanner.take('/omit-if-no-ref/')) omit = true;
      else return { labels, omit };
    }
  }

  #name(what: string): string {
    return (
      this.#scanner.name() ?? this.#scanner.fail(`the name of ${what} is missing; here is ${this.#scanner.found()}`)
    );
  }

  #property(name: string, place: Place): SourceProperty {
    const { value, markers } = this.#scanner.take('=') ? this.#values.read() : EMPTY;
    this.#scanner.expect(';', `behind the property ${name}`);
    return new SourceProperty(name, value, markers, place);
  }

  #deletedProperty(place: Place): SourceProperty {
    const property = new SourceProperty(this.#name('a property'), EMPTY.value, [], place);
    property.deleted = true;
    this.#scanner.expect(';', 'behind /delete-property/');
    return property;
  }

  #deletedNode(place: Place): SourceNode {
    const node = this.node(this.#name('a node'), place);
    node.deleted = true;
    this.#scanner.expect(';', 'behind /delete-node/');
    return node;
  }

  #addProperty(node: SourceNode, property: SourceProperty, { labels, omit }: Prefix): void {
    if (++this.#properties > LIMITS.properties) this.#scanner.fail(tooMany('properties'), property.place);
    if (omit) this.#scanner.fail('/omit-if-no-ref/ is for nodes', property.place);
    if (node.children.all.length > 0) this.#scanner.fail('properties must come before children', property.place);
    // As they are bound: the one next to the name first.
    for (const label of labels.toReversed()) addLabel(property.labels, label);
    node.properties.add(property);
  }

  #addChild(node: SourceNode, child: SourceNode, { labels, omit }: Prefix): void {
    for (const label of labels.toReversed()) addLabel(child.labels, label);
    child.omitIfUnused = omit;
    node.adopt(child);
    if (labels.length > 0) this.#lookup.add(child);
  }
}
