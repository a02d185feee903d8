/** Functions below /sys/bus/pci/devices, of this machine or of a snapshot (Documentation/ABI/testing/sysfs-bus-pci). */
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { comparePciAddresses, isPciAddress } from '../topology/pci-address.ts';
import type { Access, Signal } from './access.ts';
import { openAttribute, readAttribute } from './attribute.ts';
import { type FunctionHealth, HEALTH_FILES, healthOf } from './health.ts';
import type { FunctionFacts, Place } from './place.ts';
import type { Width } from './source.ts';

const DEVICES = 'sys/bus/pci/devices';

export const sysfsPlace = (root: string): Place => ({
  addresses: () => sysfsAddresses(root),
  facts: (address) => sysfsFacts(root, address),
  health: (address) => sysfsHealth(root, address),
  open: (address) => sysfsAccess(root, address),
});

/** Ascending by address. Throws `not-found` when `root` has no PCI bus. */
function sysfsAddresses(root: string): string[] {
  const directory = join(root, DEVICES);
  try {
    return readdirSync(directory).filter(isPciAddress).sort(comparePciAddresses);
  } catch (error) {
    const { message } = asPolykernelError(error, `listing ${directory}`);
    throw new PolykernelError('not-found', `there is no PCI bus: ${message}`, {
      field: '--root',
      value: root,
      hint: 'Give the directory that holds sys of a snapshot, or none for this machine.',
      cause: error,
    });
  }
}

function sysfsFacts(root: string, address: string): FunctionFacts {
  const directory = join(root, DEVICES, address);
  const number = (name: string): number => {
    const found = Number(readAttribute(join(directory, name)) || Number.NaN);
    return Number.isSafeInteger(found) ? found : 0;
  };
  const link = (name: string) => linked(join(directory, name));
  const group = link('iommu_group');
  const node = readAttribute(join(directory, 'numa_node'));
  const most = number('sriov_totalvfs');
  return {
    address,
    vendor: number('vendor') & 0xffff,
    device: number('device') & 0xffff,
    class: number('class') & 0xffffff,
    revision: number('revision') & 0xff,
    subsystemVendor: number('subsystem_vendor') & 0xffff,
    subsystemDevice: number('subsystem_device') & 0xffff,
    driver: link('driver') ?? null,
    physicalFunction: addressOr(link('physfn')) ?? null,
    parent: parentOf(directory) ?? null,
    node: node !== undefined && /^\d{1,5}$/.test(node) ? Number(node) : null,
    iommuGroup: group !== undefined && /^\d{1,9}$/.test(group) ? Number(group) : null,
    virtualFunctions: most > 0 ? { count: Math.min(number('sriov_numvfs'), most), most } : null,
  };
}

function sysfsHealth(root: string, address: string): FunctionHealth {
  const directory = join(root, DEVICES, address);
  return healthOf(HEALTH_FILES.map((name) => readAttribute(join(directory, name), 4096)?.split('\n') ?? []));
}

/** Opens the configuration space of a function. Throws `not-found` when there is no such function, `permission`, `invalid` for one cut short. */
function sysfsAccess(root: string, address: string): Access {
  const directory = join(root, DEVICES, address);
  let fd: number;
  try {
    fd = openAttribute(join(directory, 'config')) ?? missing(address);
  } catch (error) {
    throw asPolykernelError(error, `opening ${address}`);
  }
  const status = fstatSync(fd);
  const size = status.isFile() ? status.size : HEADER_BYTES;
  if (size >= HEADER_BYTES) return new SysfsAccess(directory, address, fd, size, resolve(root) === '/');
  closeSync(fd);
  throw new PolykernelError(
    'invalid',
    `the configuration space of ${address} was cut short: ${size} bytes of ${HEADER_BYTES} or more`,
    {
      field: '--root',
      value: root,
      hint: `Copy ${join('/', DEVICES, address, 'config')} of that machine anew, as root.`,
    },
  );
}

/** A kernel shows as many at least. */
const HEADER_BYTES = 64;

function missing(address: string): never {
  throw new PolykernelError('not-found', `there is no PCI function ${address}, or it has no configuration space`, {
    field: 'address',
    value: address,
    hint: '`pk pci ls` lists them.',
  });
}

const ID_FILES = ['vendor', 'device', 'class', 'revision', 'subsystem_vendor', 'subsystem_device'];

class SysfsAccess implements Access {
  readonly address: string;
  readonly size: number;
  readonly physicalFunction?: string;
  readonly parent?: string;
  /** Absent in a snapshot, which is a picture. */
  readonly write?: Access['write'];
  readonly #directory: string;
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(4);
  #writable: number | undefined;
  /** The kernel's copies, which an object of the kernel keeps for its life. */
  #known: { ino: number; ids: string } | undefined;

  constructor(directory: string, address: string, fd: number, size: number, isLive: boolean) {
    if (isLive) this.write = (offset, width, value) => this.#write(offset, width, value);
    this.#directory = directory;
    this.address = address;
    this.#fd = fd;
    this.physicalFunction = addressOr(linked(join(directory, 'physfn')));
    this.parent = parentOf(directory);
    // Of a file of sysfs what the function has; that less can be read without rights shows only in reading.
    this.size = Math.min(4096, size & ~3);
  }

  read(offset: number, width: Width): number | undefined {
    try {
      return readSync(this.#fd, this.#buffer, 0, width, offset) < width ? undefined : this.#buffer.readUIntLE(0, width);
    } catch (error) {
      throw gone(error, this.address, 'reading it');
    }
  }

  #write(offset: number, width: Width, value: number): void {
    try {
      this.#writable ??= openSync(join(this.#directory, 'config'), 'r+');
      this.#buffer.writeUIntLE(value, 0, width);
      writeSync(this.#writable, this.#buffer, 0, width, offset);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'EPERM' && code !== 'EACCES') throw gone(error, this.address, 'writing to it');
      throw new PolykernelError('permission', `the kernel does not let the registers of ${this.address} be written`, {
        field: 'address',
        value: this.address,
        hint: 'It takes root, and a kernel that is not locked down (`cat /sys/kernel/security/lockdown`).',
        cause: error,
      });
    }
  }

  /** A device that comes back is another object of the kernel, whose files have other inodes. */
  signal(): Signal | undefined {
    const at = (name: string) => join(this.#directory, name);
    try {
      const { ino } = statSync(at('config'));
      if (this.#known?.ino !== ino)
        this.#known = { ino, ids: ID_FILES.map((name) => readAttribute(at(name)) ?? '').join(' ') };
      const state = `${linked(at('driver')) ?? ''} ${readAttribute(at('power_state')) ?? ''}`;
      return { device: `${ino} ${this.#known.ids}`, state };
    } catch {
      return undefined;
    }
  }

  close(): void {
    closeSync(this.#fd);
    if (this.#writable !== undefined) closeSync(this.#writable);
  }
}

function gone(error: unknown, address: string, doing: string): PolykernelError {
  const { message } = asPolykernelError(error, doing);
  return new PolykernelError('unavailable', `PCI function ${address} does not answer: ${message}`, {
    field: 'address',
    value: address,
    hint: 'It may have been removed: look at `pk pci ls` and the kernel log.',
    cause: error,
  });
}

function linked(path: string): string | undefined {
  try {
    return basename(readlinkSync(path));
  } catch {
    return undefined;
  }
}

const addressOr = (name: string | undefined): string | undefined =>
  name !== undefined && isPciAddress(name) ? name : undefined;

/** The directory of a function lies in that of the bridge above it. */
function parentOf(directory: string): string | undefined {
  try {
    return addressOr(basename(dirname(realpathSync(directory))));
  } catch {
    return undefined;
  }
}
