/** The other functions of a device, when they are not to go together. Pure. */
import type { SeenFunction } from './functions.ts';

const BRIDGES = 0x06;

/**
 * Functions of the device of `one` that `isWith` does not say to be its owner's too: they share its power, and what resets the device
 * resets all. Virtual ones have none: they are made to be told apart.
 */
export function siblingsLeft(
  one: SeenFunction,
  all: Iterable<SeenFunction>,
  isWith: (address: string) => boolean,
): SeenFunction[] {
  if (one.physicalFunction !== null) return [];
  const device = deviceOf(one.address);
  return [...all].filter(
    ({ address, physicalFunction, class: kind }) =>
      address !== one.address &&
      deviceOf(address) === device &&
      physicalFunction === null &&
      kind >> 16 !== BRIDGES &&
      !isWith(address),
  );
}

/** For people; undefined when there is nothing to say. */
export function splitWarning({ address }: SeenFunction, left: readonly SeenFunction[]): string | undefined {
  if (left.length === 0) return undefined;
  const names = left.map((each) => `${each.address} (${each.driver ?? 'no driver'})`).join(', ');
  return `${address} is one function of a device whose others stay behind: ${names}. What resets the device resets them all.`;
}

/** Without the number of the function. */
const deviceOf = (address: string): string => address.slice(0, address.lastIndexOf('.'));
