/** From a tree to a source that reads back to the same tree (chapter 6), laid out as `dtc -O dts` does. */

import type { DeviceNode, DeviceTree } from './tree.ts';
import { latin1, nodeAt, propertyOf, u32Of } from './tree.ts';

/**
 * The source of `tree`. Values do not tell what they are: what reads as texts is printed as such, then as cells, then as bytes.
 * A `name` property is printed, but not read back when it is right, as it only repeats the node's name; a boot CPU that a reader
 * would not guess is told in a comment.
 */
export function printDts(tree: DeviceTree): string {
  const lines = ['/dts-v1/;', ''];
  const first = nodeAt(tree.root, '/cpus')?.children[0];
  const guess = (first === undefined ? undefined : u32Of(propertyOf(first, 'reg'))) ?? 0;
  if (tree.bootCpu !== guess) lines.push(`/* boot CPU ${tree.bootCpu}: \`--boot-cpu\`, \`dtc -b\` */`, '');
  for (const { address, size } of tree.reservations) lines.push(`/memreserve/\t${wide(address)} ${wide(size)};`);
  if (tree.reservations.length > 0) lines.push('');
  printNode(tree.root, '', lines);
  return `${lines.join('\n')}\n`;
}

function printNode(node: DeviceNode, indent: string, lines: string[]): void {
  lines.push(`${indent}${node.name === '' ? '/' : node.name} {`);
  for (const { name, value } of node.properties) lines.push(`${indent}\t${propertyText(name, value)}`);
  node.children.forEach((child, index) => {
    if (index > 0 || node.properties.length > 0) lines.push('');
    printNode(child, `${indent}\t`, lines);
  });
  lines.push(`${indent}};`);
}

/** `NAME = VALUE;` */
export const propertyText = (name: string, value: Uint8Array): string =>
  value.length === 0 ? `${name};` : `${name} = ${valueText(value)};`;

/** A value that is not empty, as a source has it. */
export function valueText(value: Uint8Array): string {
  if (isTexts(value))
    return latin1(value.subarray(0, -1))
      .split('\0')
      .map((text) => `"${text.replace(ESCAPED, escaped)}"`)
      .join(', ');
  if (value.length % 4 !== 0) return `[${Array.from(value, (byte) => hex(byte)).join(' ')}]`;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const cells = Array.from({ length: value.length / 4 }, (_, index) => `0x${hex(view.getUint32(index * 4))}`);
  return `<${cells.join(' ')}>`;
}

/** Whether all is printable text with NULs as ends; not where most of it is NULs, which are rather numbers. */
function isTexts(value: Uint8Array): boolean {
  if (value.at(-1) !== 0) return false;
  let ends = 0;
  for (const byte of value) {
    if (byte === 0) ends++;
    else if (!(byte >= 0x20 && byte < 0x7f) && !(byte >= 7 && byte <= 13)) return false;
  }
  return ends <= value.length - ends;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to be escaped
const ESCAPED = /["\\\x07-\x0d]/g;
const ESCAPES: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
};
const escaped = (character: string): string => ESCAPES[character] ?? `\\${character}`;

const hex = (value: number): string => value.toString(16).padStart(2, '0');
const wide = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`;
