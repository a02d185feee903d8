/**
 * The lists by which modprobe finds modules, as depmod makes them: text for busybox, and tries for kmod, which reads nothing
 * else. Pure. Written here, because depmod would have to be installed, and confined, for what is little more than sorting.
 */
import { loadedBefore, loadOrder } from './modules.ts';

/** One module as the lists have it. */
export interface ListedModule {
  /** With `_` for `-`. */
  name: string;
  /** Below the directory of the version, as `kernel/drivers/net/veth.ko`. */
  path: string;
  depends: readonly string[];
  aliases: readonly string[];
  /** Rules such as `pre: a post: b`. */
  softDepends: readonly string[];
}

/** Where kmod begins to read, and the version of the format. */
const MAGIC = 0xb007f457;
const FORMAT = 0x00020001;
/** What a node has besides, as the uppermost bits of each reference to it. */
const HAS_PREFIX = 0x80000000;
const HAS_VALUES = 0x40000000;
const HAS_CHILDREN = 0x20000000;
const MOST_BYTES = 0x0fffffff;
/** Keys are of 7 bits, and words where they stand in a line. */
const KEY = /^[\x21-\x7e]{1,1024}$/;

/** The files by name. `builtin`: modules that are part of the kernel. */
export function moduleLists(
  modules: readonly ListedModule[],
  builtin: ReadonlySet<string>,
): Map<string, string | Buffer> {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const dependsOf = (name: string) => {
    const module = byName.get(name);
    return module && [...module.depends, ...genericOf(module).filter((other) => byName.has(other))];
  };
  const lines = modules.map(({ name, path }): [string, string] => {
    // What is loaded first stands last.
    const before = loadOrder([name], dependsOf).slice(0, -1).reverse();
    const paths = before.filter((other) => other !== name).map((other) => byName.get(other)!.path);
    return [name, [`${path}:`, ...paths].join(' ')];
  });
  const aliases = modules.flatMap(({ name, aliases }) =>
    aliases.filter((alias) => KEY.test(alias)).map((alias): [string, string] => [alias, name]),
  );
  const rules = modules.flatMap(({ name, softDepends }) => softDepends.map((rule) => `softdep ${name} ${rule}`));
  return new Map<string, string | Buffer>([
    ['modules.dep', text(lines.map(([, line]) => line))],
    ['modules.dep.bin', trie(lines)],
    [
      'modules.alias',
      text(['# Aliases of the modules themselves.', ...aliases.map((pair) => `alias ${pair.join(' ')}`)]),
    ],
    ['modules.alias.bin', trie(aliases.map(([alias, name]) => [underscored(alias), name]))],
    ['modules.softdep', text(['# What the modules want loaded before or after them.', ...rules])],
    ['modules.symbols', text(['# Nothing asks by symbols.'])],
    ['modules.symbols.bin', trie([])],
    ['modules.builtin.bin', trie([...builtin].map((name) => [name, '']))],
    ['modules.builtin.alias.bin', trie([])],
  ]);
}

/**
 * Ciphers and checksums that a module asks the kernel for by name as it starts, which no dependency records. Where the root has
 * no /sbin/modprobe for the kernel to run, the implementation that works everywhere has to be there before.
 */
function genericOf({ softDepends }: ListedModule): string[] {
  const before = softDepends.flatMap(loadedBefore).map((name) => name.replace(/^crypto-/, ''));
  return before.map((name) => `${name.replaceAll('-', '_')}_generic`);
}

const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

/** As modprobe looks for it: `-` and `_` are one but within brackets. */
function underscored(alias: string): string {
  return alias.replace(/\[[^\]]*\]|-/g, (part) => (part === '-' ? '_' : part));
}

interface Node {
  prefix: string;
  children: Map<number, Node>;
  values: { priority: number; value: string }[];
}

/** kmod's index: a trie with compressed paths; numbers are big-endian. A value's priority is its place in the list. */
export function trie(entries: readonly (readonly [string, string])[]): Buffer {
  const root: Node = { prefix: '', children: new Map(), values: [] };
  for (const [priority, [key, value]] of entries.entries()) insert(root, key, { priority, value });
  const parts: Buffer[] = [Buffer.alloc(12)];
  let at = 12;
  const put = (bytes: Buffer) => {
    parts.push(bytes);
    at += bytes.length;
    if (at > MOST_BYTES) throw new RangeError('the list of modules is larger than its format can say');
  };
  // Never deeper than a key is long.
  const write = (node: Node): number => {
    const codes = [...node.children.keys()].sort((a, b) => a - b);
    const [first, last] = [codes[0] ?? 0, codes.at(-1) ?? -1];
    const references = Array.from({ length: last - first + 1 }, (_, index) => {
      const child = node.children.get(first + index);
      return child === undefined ? 0 : write(child);
    });
    const flags =
      (node.prefix === '' ? 0 : HAS_PREFIX) +
      (codes.length === 0 ? 0 : HAS_CHILDREN) +
      (node.values.length === 0 ? 0 : HAS_VALUES);
    const place = at;
    if (node.prefix !== '') put(Buffer.from(`${node.prefix}\0`, 'latin1'));
    if (codes.length > 0) put(Buffer.concat([Buffer.from([first, last]), ...references.map(word)]));
    if (node.values.length > 0) {
      const values = node.values.flatMap(({ priority, value }) => [
        word(priority),
        Buffer.from(`${value}\0`, 'latin1'),
      ]);
      put(Buffer.concat([word(node.values.length), ...values]));
    }
    return flags + place;
  };
  const reference = write(root);
  parts[0] = Buffer.concat([word(MAGIC), word(FORMAT), word(reference)]);
  return Buffer.concat(parts);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function insert(root: Node, key: string, value: Node['values'][number]): void {
  let node = root;
  let rest = key;
  for (;;) {
    const common = commonLength(node.prefix, rest);
    if (common < node.prefix.length) split(node, common);
    rest = rest.slice(common);
    if (rest === '') {
      node.values.push(value);
      return;
    }
    const next = node.children.get(rest.charCodeAt(0));
    if (next === undefined) {
      node.children.set(rest.charCodeAt(0), { prefix: rest.slice(1), children: new Map(), values: [value] });
      return;
    }
    node = next;
    rest = rest.slice(1);
  }
}

/** What stands behind `length` characters of the prefix becomes a node of its own. */
function split(node: Node, length: number): void {
  const below: Node = { ...node, prefix: node.prefix.slice(length + 1) };
  node.children = new Map([[node.prefix.charCodeAt(length), below]]);
  node.values = [];
  node.prefix = node.prefix.slice(0, length);
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}
