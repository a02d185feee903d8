/** Nodes and values as these trees have them: 64-bit cells in pairs, texts, lists. */
import { PolykernelError } from '../../sys/errors.ts';
import { type DeviceNode, type DeviceProperty, propertyOf, textOf, u32Of } from '../tree.ts';

type Given = DeviceProperty | undefined;

/** A node; what is undefined is left out. */
export const node = (name: string, properties: readonly Given[], children: readonly (DeviceNode | undefined)[] = []) =>
  ({
    name,
    properties: properties.filter((each) => each !== undefined),
    children: children.filter((each) => each !== undefined),
  }) satisfies DeviceNode;

export const text = (name: string, value: string): DeviceProperty => ({
  name,
  value: Buffer.from(`${value}\0`, 'latin1'),
});

export function u32(name: string, value: number): DeviceProperty {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return { name, value: bytes };
}

/** Numbers of 64 bits, one after the other. Throws `invalid` for one that is none. */
export function u64(name: string, ...values: readonly number[]): DeviceProperty {
  const bytes = Buffer.alloc(8 * values.length);
  values.forEach((value, index) => {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new PolykernelError('invalid', `device tree: ${name} is ${value}, not a whole number from 0`, {
        field: name,
        value,
      });
    bytes.writeBigUInt64BE(BigInt(value), 8 * index);
  });
  return { name, value: bytes };
}

/** The numbers of a value, each of 64 bits; undefined when it is absent, or no such list. */
export function numbersOf(parent: DeviceNode, name: string): number[] | undefined {
  const value = propertyOf(parent, name);
  if (value === undefined || value.length % 8 !== 0) return undefined;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const numbers = Array.from({ length: value.length / 8 }, (_, index) => Number(bytes.readBigUInt64BE(8 * index)));
  return numbers.every(Number.isSafeInteger) ? numbers : undefined;
}

export const numberOf = (parent: DeviceNode, name: string): number | undefined => {
  const numbers = numbersOf(parent, name);
  return numbers?.length === 1 ? numbers[0] : undefined;
};

export const cellOf = (parent: DeviceNode, name: string): number | undefined => u32Of(propertyOf(parent, name));

export const wordOf = (parent: DeviceNode, name: string): string | undefined => {
  const value = propertyOf(parent, name);
  return value === undefined ? undefined : textOf(value);
};

export const childOf = (parent: DeviceNode | undefined, name: string): DeviceNode | undefined =>
  parent?.children.find((child) => child.name === name);

/** `0000:09:00.0` as a name of a node: `pci_0000_09_00_0`. */
export const functionNodeName = (address: string): string => `pci_${address.replace(/[:.]/g, '_')}`;
