/**
 * The tree while a source is read. What a source deletes stays in its place, marked, since it may come back there; how nodes are
 * merged decides the order of everything in the blob. All as dtc does it.
 */
import type { Place } from './place.ts';

export interface Label {
  readonly name: string;
  deleted: boolean;
}

/** A place in a value that means something: a label, or a reference that is resolved when the whole tree is known. */
export interface Marker {
  readonly kind: 'label' | 'phandle' | 'path';
  readonly name: string;
  /** In the value, in bytes. */
  offset: number;
  readonly place: Place;
}

export class SourceProperty {
  readonly name: string;
  readonly place: Place;
  readonly labels: Label[] = [];
  value: Uint8Array;
  markers: readonly Marker[];
  /** Deleted, or in the body of a node an order to delete. */
  deleted = false;

  constructor(name: string, value: Uint8Array, markers: readonly Marker[], place: Place) {
    this.name = name;
    this.value = value;
    this.markers = markers;
    this.place = place;
  }
}

/** From so many on, items are found by a table of their names. */
const INDEXED = 16;

/** Items in the order of the source, deleted ones with them. */
export class Named<Item extends { readonly name: string; deleted: boolean }> {
  readonly all: Item[] = [];
  #byName: Map<string, Item[]> | undefined;

  add(item: Item): void {
    this.all.push(item);
    if (this.#byName !== undefined) put(this.#byName, item);
  }
  /** The first of this name, also when it is deleted. */
  first(name: string): Item | undefined {
    return this.all.length < INDEXED ? this.all.find((item) => item.name === name) : this.#named(name)?.[0];
  }
  /** The first of this name that is not deleted. */
  live(name: string): Item | undefined {
    const candidates = this.all.length < INDEXED ? this.all : this.#named(name);
    return candidates?.find((item) => item.name === name && !item.deleted);
  }
  remove(item: Item): void {
    this.all.splice(this.all.indexOf(item), 1);
    this.#byName = undefined;
  }
  #named(name: string): Item[] | undefined {
    if (this.#byName === undefined) {
      this.#byName = new Map();
      for (const item of this.all) put(this.#byName, item);
    }
    return this.#byName.get(name);
  }
}

function put<Item extends { readonly name: string }>(byName: Map<string, Item[]>, item: Item): void {
  const known = byName.get(item.name);
  if (known === undefined) byName.set(item.name, [item]);
  else known.push(item);
}

export class SourceNode {
  readonly name: string;
  readonly place: Place;
  readonly labels: Label[] = [];
  readonly properties = new Named<SourceProperty>();
  readonly children = new Named<SourceNode>();
  parent: SourceNode | undefined;
  deleted = false;
  /** /omit-if-no-ref/ stands before it. */
  omitIfUnused = false;
  referenced = false;
  /** 0: none yet. */
  phandle = 0;

  constructor(name: string, place: Place) {
    this.name = name;
    this.place = place;
  }

  get path(): string {
    if (this.parent === undefined) return '/';
    const above = this.parent.path;
    return above === '/' ? `/${this.name}` : `${above}/${this.name}`;
  }
  eachProperty(act: (property: SourceProperty) => void): void {
    for (const property of this.properties.all) if (!property.deleted) act(property);
  }
  get liveChildren(): SourceNode[] {
    return this.children.all.filter(({ deleted }) => !deleted);
  }
  adopt(child: SourceNode): void {
    child.parent = this;
    this.children.add(child);
  }
}

/** Puts `name` before the labels that are there; one that was deleted is back in its place. */
export function addLabel(labels: Label[], name: string): void {
  const known = labels.find((label) => label.name === name);
  if (known === undefined) labels.unshift({ name, deleted: false });
  else known.deleted = false;
}

const deleteLabels = (labels: Label[]): void => {
  for (const label of labels) label.deleted = true;
};

export function deleteProperty(property: SourceProperty): void {
  property.deleted = true;
  deleteLabels(property.labels);
}

type OnLabels = (node: SourceNode, from: SourceNode) => void;

/** With everything in it. */
export function deleteNode(node: SourceNode): void {
  node.deleted = true;
  for (const child of node.liveChildren) deleteNode(child);
  node.eachProperty(deleteProperty);
  deleteLabels(node.labels);
}

/**
 * Adds what a later body of `node` says (6.3): properties replace those of their names where these are, children are merged
 * with those of theirs, orders to delete are carried out in their turn. `onLabels` hears which node got the
 * labels of which other.
 */
export function mergeInto(node: SourceNode, later: SourceNode, onLabels: OnLabels): void {
  node.deleted = false;
  for (const label of later.labels) addLabel(node.labels, label.name);
  if (later.labels.length > 0) onLabels(node, later);
  for (const property of later.properties.all) mergeProperty(node, property);
  for (const child of later.children.all) {
    child.parent = undefined;
    const known = child.deleted ? node.children.live(child.name) : node.children.first(child.name);
    if (child.deleted) {
      if (known !== undefined) deleteNode(known);
    } else if (known === undefined) node.adopt(child);
    else mergeInto(known, child, onLabels);
  }
}

function mergeProperty(node: SourceNode, property: SourceProperty): void {
  const known = property.deleted ? node.properties.live(property.name) : node.properties.first(property.name);
  if (property.deleted) {
    if (known !== undefined) deleteProperty(known);
    return;
  }
  if (known === undefined) {
    node.properties.add(property);
    return;
  }
  for (const label of property.labels) addLabel(known.labels, label.name);
  known.value = property.value;
  known.markers = property.markers;
  known.deleted = false;
}
