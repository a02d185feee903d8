/** The drivers of a daemon: what they can do here, and which one a request gets. */
import { totalmem } from 'node:os';
import type { Check } from '../core/check.ts';
import type { KernelImage } from '../image/contract.ts';
import { asPolykernelError } from '../sys/errors.ts';
import { chooseDriver, type HostFacts } from './choose.ts';
import type { Driver, DriverFacts } from './index.ts';
import { admitDriver } from './registry.ts';
import type { Candidate } from './traits.ts';

export class Drivers {
  /** In the order in which `auto` prefers them. */
  readonly all: readonly Driver[];

  constructor(drivers: readonly Driver[]) {
    this.all = [...drivers].sort((a, b) => b.traits.auto.bestRank - a.traits.auto.bestRank);
    for (const { traits } of drivers) admitDriver(traits.name);
  }

  find(name: string): Driver | undefined {
    return this.all.find(({ traits }) => traits.name === name);
  }

  /** The image of that name which comes with a driver. */
  ownImage(name: string): KernelImage | undefined {
    return this.all.flatMap(({ traits }) => traits.ownImages ?? []).find((image) => image.name === name);
  }

  /** What all drivers can do on this machine. */
  async facts(): Promise<DriverFacts[]> {
    return (await this.#candidates()).map(({ traits, ...facts }) => facts);
  }

  /** What requests for `driver` with an image of that kind are resolved with. */
  async hostFacts(driver: string, imageKind: string | undefined): Promise<HostFacts> {
    return this.#hostFacts(await this.#candidates(driver === 'auto' ? undefined : driver), imageKind);
  }

  /** What doctor says of what they need. `images`: those that are in the store. */
  async checks(images: readonly Pick<KernelImage, 'kind'>[]): Promise<Check[]> {
    return (await Promise.all(this.all.map((driver) => driver.checks(images)))).flat();
  }

  /** For doctor: the same facts, and the driver that a request without more would get. */
  async report(): Promise<{ drivers: DriverFacts[]; auto: { driver: string | null; reason: string } }> {
    const candidates = await this.#candidates();
    return { drivers: candidates.map(({ traits, ...facts }) => facts), auto: this.#auto(candidates) };
  }

  #auto(candidates: readonly Candidate[]): { driver: string | null; reason: string } {
    try {
      const { driver, reason } = chooseDriver('auto', 1, this.#hostFacts(candidates, undefined));
      return { driver: driver.name, reason };
    } catch (error) {
      return { driver: null, reason: (error as Error).message };
    }
  }

  async #candidates(name?: string): Promise<Candidate[]> {
    const asked = this.all.filter(({ traits }) => name === undefined || traits.name === name);
    return Promise.all(
      asked.map(async (driver) => ({
        traits: driver.traits,
        name: driver.traits.name,
        availability: await probe(driver),
        capabilities: driver.capabilities(),
      })),
    );
  }

  #hostFacts(drivers: readonly Candidate[], imageKind: string | undefined): HostFacts {
    return { drivers, all: this.all.map(({ traits }) => traits), memoryBytes: totalmem(), imageKind };
  }
}

async function probe(driver: Driver): Promise<DriverFacts['availability']> {
  try {
    return await driver.probe();
  } catch (error) {
    const { message, hint } = asPolykernelError(error, `probing ${driver.traits.name}`);
    return { available: false, reason: message, ...(hint === undefined ? {} : { hint }) };
  }
}
