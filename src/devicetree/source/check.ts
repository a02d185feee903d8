/** What dtc refuses in the tree of a whole source, and the `name` properties that it leaves out. */
import { nodeNameProblem, propertyNameProblem, repeated } from '../names.ts';
import type { Label, SourceNode, SourceProperty } from './nodes.ts';
import { type Place, sourceError } from './place.ts';

export function check(root: SourceNode): void {
  const labels = new Map<string, Place>();
  visit(root, (node) => {
    const { all: properties } = node.properties;
    if (properties.length > 1)
      refuseTwice(
        properties.filter(({ deleted }) => !deleted),
        'property',
      );
    if (node.children.all.length > 1) refuseTwice(withVain(node.children.all), 'node');
    const problem = node === root ? undefined : nodeNameProblem(node.name);
    if (problem !== undefined) throw sourceError(node.place, problem);
    claim(labels, node.labels, node.place);
    for (const property of [...properties]) if (!property.deleted) checkProperty(node, property, labels);
  });
}

/** Calls `act` on every node that is not deleted, parents first. What `act` deletes is not gone into. */
export function visit(node: SourceNode, act: (node: SourceNode) => void): void {
  act(node);
  if (node.deleted) return;
  for (const child of node.children.all) if (!child.deleted) visit(child, act);
}

/** 2.2.1, 2.2.4: names of siblings differ. */
function refuseTwice(items: readonly { readonly name: string; readonly place: Place }[], what: string): void {
  const second = repeated(items);
  if (second !== undefined)
    throw sourceError(second.place, `a second ${what} ${JSON.stringify(second.name)} in one node`);
}

/** Those that live, and orders to delete one that live on in vain, as they stand in the body that has the node. */
function withVain(children: readonly SourceNode[]): SourceNode[] {
  const live = new Set<string>();
  return children.filter(({ name, deleted }) => (deleted ? live.has(name) : live.add(name)));
}

function claim(known: Map<string, Place>, labels: readonly Label[], place: Place): void {
  for (const { name, deleted } of labels) if (!deleted) claimOne(known, name, place);
}

function claimOne(known: Map<string, Place>, name: string, place: Place): void {
  if (known.has(name)) throw sourceError(place, `the label ${name} is there already`);
  known.set(name, place);
}

function checkProperty(node: SourceNode, property: SourceProperty, labels: Map<string, Place>): void {
  const problem = propertyNameProblem(property.name);
  if (problem !== undefined) throw sourceError(property.place, problem);
  claim(labels, property.labels, property.place);
  for (const { kind, name, place } of property.markers) if (kind === 'label') claimOne(labels, name, place);
  if (property.name !== 'name') return;
  // 2.3.9: deprecated, the name of the node without its unit address. As it says nothing new, dtc leaves it out.
  const base = node.name.split('@')[0]!;
  const isRight = Buffer.from(property.value).equals(Buffer.from(`${base}\0`, 'latin1'));
  if (!isRight)
    throw sourceError(property.place, `the property "name" is not the node's name, ${JSON.stringify(base)}`);
  node.properties.remove(property);
}
