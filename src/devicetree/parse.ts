/** From a source to a tree. */
import { Budget, within } from './limits.ts';
import { check } from './source/check.ts';
import type { SourceFiles } from './source/files.ts';
import type { SourceNode } from './source/nodes.ts';
import { addFixups, addLabels, addLocalFixups } from './source/overlay-nodes.ts';
import { parse } from './source/parser.ts';
import { bootCpuOf, resolve } from './source/resolve.ts';
import { Scanner } from './source/scanner.ts';
import { type DeviceNode, type DeviceProperty, type DeviceTree, latin1 } from './tree.ts';

export interface ParseOptions {
  /** What errors call the source, and where the files it names are searched from; default `<source>`. */
  readonly file?: string;
  /** Lets /include/ and /incbin/ read; without it they are refused. See `filesBelow()`. */
  readonly files?: SourceFiles;
  /** Adds `/__symbols__`, which overlays need of the tree they are for (`dtc -@`). */
  readonly symbols?: boolean;
  /** Adds an alias for every label (`dtc -A`). */
  readonly aliases?: boolean;
  /** Physical id of the CPU that boots (`dtc -b`); default the `reg` of the first node in /cpus. */
  readonly bootCpu?: number;
}

/**
 * The tree that a source in DTS v1 describes (chapter 6), as `dtc` makes it: references resolved, and of a `/plugin/` the nodes
 * that tell which are to be resolved when it is applied. Throws `invalid` with FILE:LINE:COLUMN, the line and a caret.
 */
export function parseDts(source: string | Uint8Array, options: ParseOptions = {}): DeviceTree {
  within('sourceBytes', source.length);
  const text = latin1(typeof source === 'string' ? Buffer.from(source) : source);
  const scanner = new Scanner({ name: options.file ?? '<source>', text }, options.files);
  const { root, lookup, reservations, isPlugin } = parse(scanner);
  const bootCpu = options.bootCpu ?? bootCpuOf(lookup);
  check(root);
  const phandles = resolve(root, lookup, { isPlugin, keepLabelled: options.symbols === true });
  if (options.aliases) addLabels(root, 'aliases', undefined);
  if (options.symbols) addLabels(root, '__symbols__', phandles);
  if (isPlugin) {
    addFixups(root, lookup);
    addLocalFixups(root, lookup);
  }
  return { reservations, bootCpu, root: publicNode(root, new Budget()) };
}

function publicNode(node: SourceNode, budget: Budget): DeviceNode {
  const properties: DeviceProperty[] = [];
  node.eachProperty(({ name, value }) => {
    budget.add(value.length);
    properties.push({ name, value });
  });
  return { name: node.name, properties, children: node.liveChildren.map((child) => publicNode(child, budget)) };
}
