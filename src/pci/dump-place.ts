/** The functions of a dump: all that is known of them is in their images. */
import { PolykernelError } from '../sys/errors.ts';
import { comparePciAddresses } from '../topology/pci-address.ts';
import type { Access } from './access.ts';
import { parseDump } from './dump.ts';
import type { FunctionFacts, Place } from './place.ts';
import { Image } from './source.ts';

/** Throws `invalid` for what is no dump. */
export function dumpPlace(text: string): Place {
  const images = parseDump(text);
  const parents = parentsOf(images);
  const image = (address: string): Image => {
    const found = images.get(address);
    if (found !== undefined) return new Image(found);
    throw new PolykernelError('not-found', `there is no PCI function ${address} in the dump`, {
      field: 'address',
      value: address,
      hint: '`pk pci ls --from FILE` lists them.',
    });
  };
  return {
    addresses: () => [...images.keys()].sort(comparePciAddresses),
    facts: (address) => factsOf(address, image(address), parents.get(address.slice(0, -5)) ?? null),
    open: (address) => new DumpAccess(address, image(address), parents.get(address.slice(0, -5))),
  };
}

class DumpAccess implements Access {
  readonly address: string;
  readonly parent?: string;
  readonly size: number;
  readonly #image: Image;

  constructor(address: string, image: Image, parent: string | undefined) {
    this.address = address;
    this.#image = image;
    this.size = image.size;
    this.parent = parent;
  }
  read(offset: number, width: 1 | 2 | 4): number | undefined {
    return this.#image.read(offset, width);
  }
  close(): void {}
}

/** What an image says of a function. */
function factsOf(address: string, image: Image, parent: string | null): FunctionFacts {
  const word = (offset: number) => image.read(offset, 2) ?? 0;
  const type = (image.read(0x0e, 1) ?? 0) & 0x7f;
  return {
    address,
    vendor: word(0),
    device: word(2),
    class: (image.read(8, 4) ?? 0) >>> 8,
    revision: image.read(8, 1) ?? 0,
    subsystemVendor: type === 0 ? word(0x2c) : 0,
    subsystemDevice: type === 0 ? word(0x2e) : 0,
    driver: null,
    physicalFunction: null,
    parent,
    node: null,
    iommuGroup: null,
    virtualFunctions: null,
  };
}

/** The bridge above each bus (`0000:3b`), by its secondary bus number (PCIe 7.5.1.3.3). */
function parentsOf(images: ReadonlyMap<string, Uint8Array>): Map<string, string> {
  const parents = new Map<string, string>();
  for (const [address, bytes] of images) {
    const bus = bytes[0x19] ?? 0;
    if (((bytes[0x0e] ?? 0) & 0x7f) === 1 && bus > 0)
      parents.set(`${address.slice(0, -8)}:${bus.toString(16).padStart(2, '0')}`, address);
  }
  return parents;
}
