/**
 * Looking things up in trees that change, so that no table of theirs holds. Each lookup goes through all that it looks in, and is
 * counted: a small overlay can ask for many in a large tree.
 */
import { within } from '../limits.ts';
import { type DeviceNode, isNamed, propertyOf, textOf } from '../tree.ts';

/** Of one overlay. Each throws `invalid` once all together go through more than a tree of sense makes them. */
export class Lookup {
  #steps = 0;

  count(steps: number): void {
    this.#steps += steps;
    within('lookups', this.#steps);
  }

  /** The child of this name, or with a unit address where `name` has none. */
  child<Node extends DeviceNode>(node: Node, name: string): Node | undefined {
    this.count(node.children.length + 1);
    return node.children.find((child) => isNamed(child, name)) as Node | undefined;
  }

  property(node: DeviceNode, name: string): Uint8Array | undefined {
    this.count(node.properties.length + 1);
    return propertyOf(node, name);
  }

  /** As nodeAt() of a tree. */
  at<Node extends DeviceNode>(root: Node, path: string): Node | undefined {
    this.count(path.length);
    if (!path.startsWith('/')) return this.#fromAlias(root, path);
    let node: Node | undefined = root;
    for (const name of path.split('/')) if (name !== '' && node !== undefined) node = this.child(node, name);
    return node;
  }

  /** The first node for which `is` holds, parents first, and its path. */
  first<Node extends DeviceNode>(
    node: Node,
    is: (node: Node) => boolean,
    path = '',
  ): { node: Node; path: string } | undefined {
    this.count(node.properties.length + 1);
    if (is(node)) return { node, path: path === '' ? '/' : path };
    for (const child of node.children) {
      const found = this.first(child as Node, is, `${path}/${child.name}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Every node with its path, parents first. */
  *walk<Node extends DeviceNode>(node: Node, path = ''): Generator<readonly [Node, string]> {
    this.count(node.properties.length + 1);
    yield [node, path === '' ? '/' : path];
    for (const child of node.children) yield* this.walk(child as Node, `${path}/${child.name}`);
  }

  #fromAlias<Node extends DeviceNode>(root: Node, path: string): Node | undefined {
    const end = path.includes('/') ? path.indexOf('/') : path.length;
    const aliases = this.child(root, 'aliases');
    const value = aliases === undefined ? undefined : this.property(aliases, path.slice(0, end));
    const target = value === undefined ? undefined : textOf(value);
    return target?.startsWith('/') ? this.at(root, target + path.slice(end)) : undefined;
  }
}
