/**
 * A device tree as data (Devicetree Specification v0.4, section 2.2): nodes with properties, whose values are bytes. Names are
 * strings of single-byte characters (Latin-1), so that any blob is read without loss.
 */

/** A property (2.2.4). An empty value says that it is there. */
export interface DeviceProperty {
  readonly name: string;
  readonly value: Uint8Array;
}

/** A node (2.2.1). The name of the root is empty; others may have a unit address: `serial@fe001000`. */
export interface DeviceNode {
  readonly name: string;
  readonly properties: readonly DeviceProperty[];
  readonly children: readonly DeviceNode[];
}

/** Memory that programs must leave alone (5.3), in bytes. */
export interface Reservation {
  readonly address: bigint;
  readonly size: bigint;
}

/** What a blob or a source describes. */
export interface DeviceTree {
  readonly reservations: readonly Reservation[];
  /** Physical id of the CPU that boots (5.2, `boot_cpuid_phys`). */
  readonly bootCpu: number;
  readonly root: DeviceNode;
}

/** The value of `node`'s property, if it has it. */
export const propertyOf = (node: DeviceNode, name: string): Uint8Array | undefined =>
  node.properties.find((property) => property.name === name)?.value;

/** A big-endian number of four bytes (2.2.4.1, `<u32>`); undefined for values of another length. */
export function u32Of(value: Uint8Array | undefined): number | undefined {
  if (value?.length !== 4) return undefined;
  return ((value[0]! << 24) | (value[1]! << 16) | (value[2]! << 8) | value[3]!) >>> 0;
}

/**
 * Whether `wanted` names `node`, as libfdt takes it: the unit address may be left out, here where the node has one.
 */
export const isNamed = (node: { readonly name: string }, wanted: string): boolean =>
  node.name === wanted ||
  (node.name.startsWith(wanted) && node.name[wanted.length] === '@' && wanted !== '' && !wanted.includes('@'));

/**
 * The node at `path`: from the root, or from an alias (3.3) when it does not begin with a slash. Unit addresses may be left
 * out where they are not needed to tell nodes apart (2.2.3).
 */
export function nodeAt(root: DeviceNode, path: string): DeviceNode | undefined {
  if (!path.startsWith('/')) return fromAlias(root, path);
  let node: DeviceNode | undefined = root;
  for (const name of path.split('/')) {
    if (name !== '') node = node?.children.find((child) => isNamed(child, name));
  }
  return node;
}

function fromAlias(root: DeviceNode, path: string): DeviceNode | undefined {
  const end = path.includes('/') ? path.indexOf('/') : path.length;
  const aliases = root.children.find((child) => isNamed(child, 'aliases'));
  const value = aliases === undefined ? undefined : propertyOf(aliases, path.slice(0, end));
  const target = value === undefined ? undefined : textOf(value);
  return target?.startsWith('/') ? nodeAt(root, target + path.slice(end)) : undefined;
}

/** A property's value as text (2.2.4, `<string>`), when it is one: ended by its only NUL. */
export function textOf(value: Uint8Array): string | undefined {
  return value.length > 0 && value.indexOf(0) === value.length - 1 ? latin1(value.subarray(0, -1)) : undefined;
}

/** Bytes as characters, one each. */
export const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
