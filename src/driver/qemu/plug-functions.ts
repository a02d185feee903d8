/** PCI functions of the host that come to a running QEMU, and go: over the monitor, with the guest's consent. */
import { type GuestLink, readShortFile, tellFunctions } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { KernelFunctions, LaunchSpec, PassedFunction } from '../driver.ts';
import { functionId, jailFunction } from './command.ts';
import { closeDoor, functionsOf, hasDoors, openDoor, type VfioHost } from './functions.ts';
import { eventually } from './plug.ts';
import { isRecord, type Qmp } from './qmp.ts';
import { children } from './regions.ts';

/** All of the guest's memory is pinned with the first function: a second for some GiB, and more where it comes from swap. */
const PIN_DEADLINE_MS = 120_000;
const PLUGGED = '/machine/peripheral';
/** Places on the bus that may be nobody's: the first is so in kernels of before 9p had two shares, the last is below the network card's. */
const FIRST_PLACE = 0x6;
const LAST_PLACE = 0xe;

export interface QemuFunctionsOptions {
  directory: string;
  guest: Pick<GuestLink, 'configure' | 'readFile'>;
  identity: LaunchSpec['identity'];
  /** Memory can be taken out of it. */
  hasBalloon: boolean;
  withMonitor<T>(use: (monitor: Qmp) => Promise<T>): Promise<T>;
  /** For tests. */
  vfio?: VfioHost;
  patienceMs?: number;
}

export class QemuFunctions implements KernelFunctions {
  readonly #options: QemuFunctionsOptions;

  constructor(options: QemuFunctionsOptions) {
    this.#options = options;
  }

  check(): void {
    const { directory, hasBalloon } = this.#options;
    if (hasBalloon)
      throw new PolykernelError('unsupported', 'memory cannot be taken from a kernel that PCI functions write to', {
        field: 'device',
        hint: 'Make it anew without bounds of its memory (elastic).',
      });
    if (hasDoors(directory)) return;
    throw new PolykernelError('unavailable', 'the kernel was started before this machine could give functions away', {
      field: 'device',
      hint: 'Restart it: the next one can be given some. It takes the daemon of root with CAP_SYS_RESOURCE, an IOMMU and vfio-pci.',
    });
  }

  list(): Promise<string[]> {
    return this.#options.withMonitor((monitor) => this.#present(monitor));
  }

  attach(given: PassedFunction): Promise<void> {
    const { withMonitor, guest } = this.#options;
    this.check();
    return withMonitor(async (monitor) => {
      if (!(await this.#present(monitor)).includes(given.address)) {
        await openDoor(this.#options, given, this.#options.vfio);
        try {
          await addFunction(monitor, given.address);
        } catch (error) {
          await closeDoor(this.#options, given.address, this.#options.vfio);
          throw error;
        }
      }
      const place = (await placesOf(monitor)).get(functionId(given.address));
      if (place === undefined)
        throw new PolykernelError('protocol', `QEMU does not say where on its bus it has put ${given.address}`);
      const seen = async () => {
        await readShortFile(guest, `/sys/bus/pci/devices/${place}/vendor`);
      };
      await consent(`the guest's kernel does not see ${given.address}`, seen, this.#options.patienceMs);
      await this.#tell(monitor);
    });
  }

  detach(address: string): Promise<void> {
    return this.#options.withMonitor(async (monitor) => {
      await removeFunction(monitor, address, this.#options.patienceMs);
      await closeDoor(this.#options, address, this.#options.vfio);
      await this.#tell(monitor);
    });
  }

  /** Has the guest know which are called how. */
  tell(): Promise<void> {
    return this.#options.withMonitor((monitor) => this.#tell(monitor));
  }

  async #tell(monitor: Qmp): Promise<void> {
    const { guest, directory } = this.#options;
    const places = await placesOf(monitor);
    const named = functionsOf(directory).flatMap(({ address: own, name }) => {
      const address = places.get(functionId(own));
      return name === null || address === undefined ? [] : [{ name, address }];
    });
    await guest.configure([tellFunctions(named)]);
  }

  async #present(monitor: Qmp): Promise<string[]> {
    const plugged = await children(monitor, PLUGGED);
    return functionsOf(this.#options.directory).flatMap(({ address }) =>
      plugged.has(functionId(address)) ? [address] : [],
    );
  }
}

/** Has QEMU take a function, whose door is open, and show it to its guest. Rejects with `unsupported` when it refuses. */
export async function addFunction(monitor: Qmp, address: string): Promise<void> {
  const used = new Set((await placesOf(monitor)).values().map((place) => Number.parseInt(place.slice(8, 10), 16)));
  let place = FIRST_PLACE;
  while (used.has(place)) place += 1;
  if (place > LAST_PLACE)
    throw new PolykernelError('unsupported', 'no place is left on the PCI bus of this kernel', {
      field: 'device',
      value: address,
      hint: 'Take one of its functions from it first: pk device detach.',
    });
  const device = { driver: 'vfio-pci', id: functionId(address), sysfsdev: jailFunction(address) };
  await monitor.execute('device_add', { ...device, addr: `${place.toString(16)}.0` }, PIN_DEADLINE_MS);
}

/** Has the guest let go of a function, and QEMU forget it. Rejects with `not-ready` when the guest does not. */
export async function removeFunction(monitor: Qmp, address: string, patienceMs?: number): Promise<void> {
  const id = functionId(address);
  const isThere = async () => (await children(monitor, PLUGGED)).has(id);
  if (!(await isThere())) return;
  try {
    await monitor.execute('device_del', { id });
  } catch (error) {
    // It is being taken out already, or is out just now.
    if ((error as PolykernelError).code !== 'unsupported') throw error;
  }
  const isGone = async () => {
    if (await isThere()) throw new PolykernelError('internal', 'it is there still');
  };
  await consent(`the guest does not let go of ${address}`, isGone, patienceMs);
}

/** Where on the guest's bus each device is, by its id. */
async function placesOf(monitor: Qmp): Promise<Map<string, string>> {
  const buses = await monitor.execute('query-pci');
  const devices = Array.isArray(buses) ? buses.flatMap((bus) => (isRecord(bus) ? bus.devices : [])) : [];
  const hex = (value: unknown, digits: number) =>
    (typeof value === 'number' ? value : NaN).toString(16).padStart(digits, '0');
  let unnamed = 0;
  return new Map(
    devices.flatMap((each): [string, string][] => {
      if (!isRecord(each)) return [];
      const { bus, slot, function: number, qdev_id: id } = each;
      return [
        [
          typeof id === 'string' && id !== '' ? id : `-${++unnamed}`,
          `0000:${hex(bus, 2)}:${hex(slot, 2)}.${hex(number, 1)}`,
        ],
      ];
    }),
  );
}

/** Waits for the guest to have done its part. Rejects with `not-ready` when it does not. */
async function consent(otherwise: string, look: () => Promise<void>, patienceMs?: number): Promise<void> {
  let said: unknown;
  try {
    await eventually(
      async () => {
        try {
          await look();
        } catch (error) {
          said = error;
          if ((error as PolykernelError).code === 'kernel-died') throw error;
          throw new PolykernelError('internal', otherwise, { cause: error });
        }
      },
      undefined,
      patienceMs,
    );
  } catch (error) {
    if (!(error instanceof PolykernelError) || error.code !== 'internal') throw error;
    throw new PolykernelError('not-ready', otherwise, {
      field: 'device',
      hint: 'Its kernel needs PCI hotplug (ACPI), and programs that use the function have to end. Try again, or restart it.',
      cause: said,
    });
  }
}
