/** Finds what references mean (6.3): the first node, from the root on, that has the label, or the one at the path. */
import { within } from '../limits.ts';
import type { SourceNode } from './nodes.ts';

export class Lookup {
  root: SourceNode | undefined;
  /** Nodes that had a label once; whether they still have it, and are in the tree, is asked each time. */
  readonly #labelled = new Map<string, Set<SourceNode>>();

  /** Notes the labels of `node`, whose tree may be joined to the root later. */
  add(node: SourceNode): void {
    for (const { name } of node.labels) {
      const known = this.#labelled.get(name) ?? new Set();
      this.#labelled.set(name, known.add(node));
      within('labelled', known.size);
    }
  }

  /** `node` has become part of another. */
  forget(node: SourceNode): void {
    for (const { name } of node.labels) this.#labelled.get(name)?.delete(node);
  }

  /** `reference` is a label, or a path from the root. */
  find(reference: string): SourceNode | undefined {
    return reference.startsWith('/') ? this.#atPath(reference) : this.withLabel(reference);
  }

  withLabel(label: string): SourceNode | undefined {
    const live = [...(this.#labelled.get(label) ?? [])].filter((node) => this.#has(node, label));
    return live.length < 2 ? live[0] : firstInTree(this.root!, new Set(live));
  }

  #has(node: SourceNode, label: string): boolean {
    if (!node.labels.some(({ name, deleted }) => name === label && !deleted)) return false;
    let above: SourceNode = node;
    while (above.parent !== undefined && !above.deleted) above = above.parent;
    return above === this.root && (above === node || !above.deleted);
  }

  #atPath(path: string): SourceNode | undefined {
    let node = this.root;
    if (path === '/') return node;
    for (const name of path.split('/')) if (name !== '') node = node?.children.live(name);
    return node?.deleted ? undefined : node;
  }
}

function firstInTree(node: SourceNode, wanted: ReadonlySet<SourceNode>): SourceNode | undefined {
  if (wanted.has(node)) return node;
  for (const child of node.children.all) {
    const found = child.deleted ? undefined : firstInTree(child, wanted);
    if (found !== undefined) return found;
  }
  return undefined;
}
