/** From what was asked and what the machine can do to what will be: pure. */
import { chooseDriver, tooManyCpus } from '../driver/choose.ts';
import type { DriverFacts, HostFacts } from '../driver/index.ts';
import { type PartitionRequest, requestedBytes, vcpusOf } from '../ledger/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { CreateRequest } from './schema.ts';
import type { InstanceSpec } from './spec.ts';

const MIB = 1024 * 1024;
const DEFAULT_MEMORY_BYTES = 256 * MIB;
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Our own tools in every guest. They come last: a root file system's programs of the same name win. */
const TOOLS = '/run/pk/bin';
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
