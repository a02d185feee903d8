/** Which driver a request gets, and why: pure. */
import type { KernelImage } from '../image/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { DriverFacts, DriverName } from './driver.ts';

export interface HostFacts {
  /** The drivers that were asked; `auto` needs them all. */
  drivers: readonly DriverFacts[];
  /** Memory of the host in bytes. */
  memoryBytes: number;
  /** Kind of the image that was named, if one was. */
  imageKind?: KernelImage['kind'] | undefined;
  /** The image a driver boots unless told otherwise. */
  defaultImage(driver: DriverName): string;
}

/** A linux.uml runs only under UML, a vmlinux only in a virtual machine. */
const DRIVER_OF_KIND: Record<KernelImage['kind'], DriverName> = { uml: 'uml', x86_64: 'qemu' };

/**
 * The driver to use and why. `auto`: QEMU with KVM that really works, else UML when one CPU is enough, else QEMU's own
 * emulation; an image that was named narrows it to the driver that can boot it.
 */
export function chooseDriver(
  wanted: 'auto' | DriverName,
  cpus: number,
  facts: HostFacts,
): { driver: DriverFacts; reason: string } {
  const find = (name: DriverName) => facts.drivers.find((driver) => driver.name === name);
  const needed = facts.imageKind === undefined ? undefined : DRIVER_OF_KIND[facts.imageKind];
  if (wanted !== 'auto') {
    const driver = find(wanted);
    if (driver === undefined) {
      const names = facts.drivers.map((each) => each.name).join(', ');
      throw new PolykernelError('unavailable', `there is no driver ${wanted} here`, {
        field: 'driver',
        value: wanted,
        hint: names === '' ? undefined : `Drivers: ${names}.`,
      });
    }
    if (needed !== undefined && needed !== wanted && wanted !== 'fake') {
      throw new PolykernelError(
        'invalid',
        `the image is a kernel for the ${needed} driver, which ${wanted} cannot boot`,
        {
          field: 'image',
          hint: `Use --driver ${needed}, or leave --image out.`,
        },
      );
    }
    if (!driver.availability.available) throw unavailable(driver);
    return { driver, reason: 'as asked' };
  }
  const allowed = (name: DriverName) => {
    const driver = find(name);
    return driver?.availability.available === true && (needed === undefined || needed === name) ? driver : undefined;
  };
  const qemu = allowed('qemu');
  const uml = allowed('uml');
  if (qemu?.availability.accelerator === 'kvm') return { driver: qemu, reason: 'QEMU, because KVM works here' };
  const noKvm = find('qemu')?.availability.available ? 'KVM does not work here' : 'QEMU is not usable here';
  if (uml !== undefined && cpus <= uml.capabilities.maxCpus) {
    return {
      driver: uml,
      reason:
        needed === 'uml' ? 'UML, because the image is made for it' : `UML, because ${noKvm} and one CPU is enough`,
    };
  }
  if (qemu !== undefined) {
    const why =
      needed === 'qemu'
        ? 'the image needs a virtual machine'
        : uml === undefined
          ? 'UML is not usable here'
          : `UML has one CPU and ${cpus} are wanted`;
    return { driver: qemu, reason: `QEMU with emulation, because ${why} and KVM does not work here` };
  }
  if (uml !== undefined) throw tooManyCpus(cpus, uml);
  const fake = needed === undefined ? allowed('fake') : undefined;
  if (fake !== undefined) return { driver: fake, reason: 'fake, because no real driver is usable here' };
  const candidates = facts.drivers.filter((driver) => needed === undefined || needed === driver.name);
  throw new PolykernelError(
    'unavailable',
    `no driver can run a kernel here: ${candidates.map((driver) => `${driver.name}: ${driver.availability.reason}`).join('; ') || 'none is built in'}`,
    {
      field: 'driver',
      value: 'auto',
      hint: candidates.find((driver) => driver.availability.hint)?.availability.hint ?? 'See `pk doctor`.',
    },
  );
}

function unavailable(driver: DriverFacts): PolykernelError {
  const { reason, hint } = driver.availability;
  return new PolykernelError('unavailable', `the driver ${driver.name} cannot be used here: ${reason}`, {
    field: 'driver',
    value: driver.name,
    hint: hint ?? 'See `pk doctor`.',
  });
}

/** Refuses more CPUs than the driver gives one kernel. */
export function tooManyCpus(cpus: number, driver: DriverFacts): PolykernelError {
  const { maxCpus } = driver.capabilities;
  return new PolykernelError(
    'invalid',
    `cpus is ${cpus}; the most the ${driver.name} driver gives one kernel here is ${maxCpus}`,
    {
      field: 'cpus',
      value: cpus,
      hint: driver.name === 'uml' ? 'Use --driver qemu for more CPUs, or --cpus 1.' : `Use --cpus ${maxCpus} or less.`,
    },
  );
}
