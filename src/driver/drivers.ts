/** The drivers of a daemon: what they can do here, and which one a request gets. */
import { totalmem } from 'node:os';
import type { KernelImage } from '../image/contract.ts';
import { asPolykernelError } from '../sys/errors.ts';
import { chooseDriver, type HostFacts } from './choose.ts';
import type { Driver, DriverFacts, DriverName } from './index.ts';

export class Drivers {
  readonly #drivers: readonly Driver[];
  readonly #defaultImage: (driver: DriverName) => string;

  constructor(drivers: readonly Driver[], defaultImage: (driver: DriverName) => string) {
    this.#drivers = drivers;
    this.#defaultImage = defaultImage;
  }

  find(name: DriverName): Driver | undefined {
    return this.#drivers.find((driver) => driver.name === name);
  }

  /** What all drivers, or the one named, can do on this machine. */
  async facts(name?: DriverName): Promise<DriverFacts[]> {
    const asked = this.#drivers.filter((driver) => name === undefined || driver.name === name);
    return Promise.all(
      asked.map(async (driver) => ({
        name: driver.name,
        availability: await probe(driver),
        capabilities: driver.capabilities(),
      })),
    );
  }

  /** What requests for `driver` with an image of that kind are resolved with. */
  async hostFacts(driver: 'auto' | DriverName, imageKind: KernelImage['kind'] | undefined): Promise<HostFacts> {
    return this.#hostFacts(await this.facts(driver === 'auto' ? undefined : driver), imageKind);
  }

  /** The driver that a request without more would get. */
  auto(facts: readonly DriverFacts[]): { driver: DriverName | null; reason: string } {
    try {
      const { driver, reason } = chooseDriver('auto', 1, this.#hostFacts(facts, undefined));
      return { driver: driver.name, reason };
    } catch (error) {
      return { driver: null, reason: (error as Error).message };
    }
  }

  #hostFacts(drivers: readonly DriverFacts[], imageKind: KernelImage['kind'] | undefined): HostFacts {
    return { drivers, memoryBytes: totalmem(), imageKind, defaultImage: this.#defaultImage };
  }
}

async function probe(driver: Driver): Promise<DriverFacts['availability']> {
  try {
    return await driver.probe();
  } catch (error) {
    const { message, hint } = asPolykernelError(error, `probing ${driver.name}`);
    return { available: false, reason: message, ...(hint === undefined ? {} : { hint }) };
  }
}
