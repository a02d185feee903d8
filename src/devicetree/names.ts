/** Which names nodes and properties may have. */
import { PolykernelError } from '../sys/errors.ts';
import { LIMITS } from './limits.ts';

/** 2.2.1 and table 2.1. A second `@` is refused by dtc as well. */
const NODE = /^[0-9a-zA-Z,._+-]*(?:@[0-9a-zA-Z,._+-]*)?$/;
/** 2.2.4.1 and table 2.2, with what dtc allows. */
const PROPERTY = /^[0-9a-zA-Z,._+*#?-]+$/;

/** What is wrong with a node's name; undefined when nothing is. */
export function nodeNameProblem(name: string): string | undefined {
  if (name === '') return 'only the root has an empty name';
  return problem(name, NODE, 'a node');
}

/** What is wrong with a property's name; undefined when nothing is. */
export const propertyNameProblem = (name: string): string | undefined => problem(name, PROPERTY, 'a property');

function problem(name: string, allowed: RegExp, what: string): string | undefined {
  if (name.length > LIMITS.nameBytes) return `the name of ${what} is longer than ${LIMITS.nameBytes} bytes`;
  return allowed.test(name) ? undefined : `${JSON.stringify(name)} is no name of ${what}`;
}

/** Few names are compared with each other, many looked up. */
const FEW = 12;

/** The first of `items` that has the name of one before it (2.2.1, 2.2.4: they differ). */
export function repeated<Item extends { readonly name: string }>(items: readonly Item[]): Item | undefined {
  if (items.length <= FEW) return repeatedOfFew(items);
  const seen = new Set<string>();
  return items.find(({ name }) => seen.size === seen.add(name).size);
}

function repeatedOfFew<Item extends { readonly name: string }>(items: readonly Item[]): Item | undefined {
  for (let index = 1; index < items.length; index++) {
    const item = items[index]!;
    for (let before = 0; before < index; before++) if (items[before]!.name === item.name) return item;
  }
  return undefined;
}

/** An error about `path`, a node's or property's place in a tree or blob. */
export function treeError(path: string, problem: string): PolykernelError {
  const place = path.length > 200 ? `${path.slice(0, 200)}…` : path;
  return new PolykernelError('invalid', `device tree: ${place}: ${problem}`, {
    field: place,
    hint: 'Names and their uniqueness are in the Devicetree Specification, sections 2.2.1 and 2.2.4.',
  });
}
