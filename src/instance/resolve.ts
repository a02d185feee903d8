/** From what was asked and what the machine can do to what will be: pure. */
import type { Availability, Capabilities, DriverName } from '../driver/index.ts';
import type { KernelImage } from '../image/index.ts';
import { type PartitionRequest, requestedBytes, vcpusOf } from '../ledger/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { CreateRequest } from './schema.ts';
import type { InstanceSpec } from './spec.ts';

export interface DriverFacts {
  name: DriverName;
  availability: Availability;
  capabilities: Capabilities;
}

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

const MIB = 1024 * 1024;
const DEFAULT_MEMORY_BYTES = 256 * MIB;
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Our own tools in every guest. They come last: a root file system's programs of the same name win. */
const TOOLS = '/run/pk/bin';
/** A linux.uml runs only under UML, a vmlinux only in a virtual machine. */
const DRIVER_OF_KIND: Record<KernelImage['kind'], DriverName> = { uml: 'uml', x86_64: 'qemu' };

/**
 * Fills in every default and picks the driver. `request` has passed checkCreateRequest.
 * Throws `invalid` (limits, combinations), `unavailable` (driver cannot run here) or `unsupported`.
 */
export function resolveSpec(request: CreateRequest, name: string, facts: HostFacts): InstanceSpec {
  const partition = (request.partition ?? null) as PartitionRequest | null;
  if (partition !== null && (request.cpus !== undefined || request.memoryBytes !== undefined)) {
    const field = request.cpus !== undefined ? 'cpus' : 'memoryBytes';
    throw new PolykernelError('invalid', `${field} is given beside a partition, which says that already`, {
      field,
      value: request[field],
      hint: `Leave ${field} out, or the partition.`,
    });
  }
  const cpus = partition === null ? (request.cpus ?? 1) : vcpusOf(partition.cpus);
  const { driver, reason } = chooseDriver(request.driver ?? 'auto', cpus, facts);
  const { capabilities } = driver;
  if (cpus > capabilities.maxCpus) throw tooManyCpus(cpus, driver);
  const memoryBytes = checkMemory(
    partition === null ? (request.memoryBytes ?? DEFAULT_MEMORY_BYTES) : requestedBytes(partition.memory),
    driver,
    facts.memoryBytes,
  );
  if (partition !== null) checkPartition(partition, driver);
  const attached = request.attached ?? false;
  const restart = (request.restart ?? 'no') as InstanceSpec['restart'];
  if (attached && restart !== 'no') {
    throw new PolykernelError(
      'invalid',
      `restart is ${JSON.stringify(restart)}, but a foreground instance ends with its client`,
      {
        field: 'restart',
        value: restart,
        hint: 'Run it detached (`pk run -d`) to have it restarted.',
      },
    );
  }
  const publish = (request.publish ?? []).map((port) => ({ ...port, hostAddress: port.hostAddress ?? '127.0.0.1' }));
  const network = request.network ?? (publish.length > 0 ? 'private' : 'none');
  checkNetwork(network, publish, driver);
  const tty = request.tty ?? false;
  return {
    name,
    command: request.command,
    env: {
      ...(tty ? { TERM: 'xterm' } : {}),
      ...request.env,
      PATH: `${request.env?.PATH ?? DEFAULT_PATH}:${TOOLS}`,
    },
    cwd: request.cwd ?? '/',
    cwdOptional: request.cwdOptional ?? false,
    user: request.user ?? '0',
    hostname: request.hostname ?? name,
    driver: driver.name,
    driverReason: reason,
    image: request.image || facts.defaultImage(driver.name),
    cpus,
    memoryBytes,
    root: request.root ?? 'host',
    volumes: (request.volumes ?? []).map((volume) => ({ ...volume, readOnly: volume.readOnly ?? false })),
    restart,
    cold: request.cold ?? false,
    readyTimeoutMs: request.readyTimeoutMs ?? 60_000,
    stopGraceMs: request.stopGraceMs ?? 10_000,
    attached,
    tty,
    rows: request.rows || 24,
    columns: request.columns || 80,
    partition,
    tenant: request.tenant ?? null,
    stack: null,
    channels: request.channels ?? [],
    network,
    publish,
  };
}

function checkNetwork(network: InstanceSpec['network'], publish: InstanceSpec['publish'], driver: DriverFacts): void {
  if (network === 'none' && publish.length > 0) {
    throw new PolykernelError('invalid', 'ports are published, and the instance has no network', {
      field: 'network',
      value: network,
      hint: 'Leave --network out, or use --network private.',
    });
  }
  if (!driver.capabilities.networks.includes(network)) {
    throw new PolykernelError('unsupported', `the driver ${driver.name} has no ${network} network`, {
      field: 'network',
      value: network,
    });
  }
}

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

function tooManyCpus(cpus: number, driver: DriverFacts): PolykernelError {
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

function checkMemory(bytes: number, driver: DriverFacts, hostBytes: number): number {
  const { minMemoryBytes, maxMemoryBytes } = driver.capabilities;
  const most = driver.name === 'fake' ? maxMemoryBytes : Math.min(maxMemoryBytes, hostBytes);
  if (bytes >= minMemoryBytes && bytes <= most) return bytes;
  const limit =
    bytes < minMemoryBytes
      ? `the least the ${driver.name} driver can boot with is ${formatBytes(minMemoryBytes)}`
      : null;
  const upper =
    hostBytes < maxMemoryBytes
      ? `this machine has ${formatBytes(hostBytes)}`
      : `the most the ${driver.name} driver can give is ${formatBytes(most)}`;
  throw new PolykernelError('invalid', `memory is ${formatBytes(bytes)}; ${limit ?? upper}`, {
    field: 'memoryBytes',
    value: bytes,
    hint: `Choose a size from ${formatBytes(minMemoryBytes)} to ${formatBytes(most)}.`,
  });
}

/** What the driver cannot make true is refused, rather than owned in vain. */
function checkPartition(partition: PartitionRequest, driver: DriverFacts): void {
  if (partition.devices.length > 0) {
    throw new PolykernelError('unsupported', `the ${driver.name} driver cannot give PCI functions to a kernel`, {
      field: 'partition.devices',
      hint: 'Leave the devices out.',
    });
  }
  if (partition.memory.hugePageBytes !== null && !driver.capabilities.hugePages) {
    throw new PolykernelError('unsupported', `the ${driver.name} driver cannot use huge pages`, {
      field: 'partition.memory.hugePages',
      hint: 'Leave hugePages out, or use --driver qemu.',
    });
  }
}
