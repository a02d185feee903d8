/** From what was asked and what the machine can do to what will be: pure. */
import {
  checkCpus,
  checkDevices,
  checkHugePages,
  checkMemory,
  checkNetworkKind,
  checkRegions,
  checkRootKind,
  checkShare,
  checkVolumes,
} from '../driver/check.ts';
import { chooseDriver } from '../driver/choose.ts';
import type { Candidate, HostFacts } from '../driver/index.ts';
import type { PartitionRequest } from '../ledger/index.ts';
import { canonicalAddress } from '../network/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import { type FieldKey, type FieldSpec, fieldDefaults, fieldRows } from './fields.ts';
import type { CreateRequest } from './schema.ts';
import type { Elastic, InstanceSpec, PublishedPort } from './spec.ts';
import { checkStandby } from './standby-check.ts';
import { askedSize, checkWhole, elasticOf } from './whole.ts';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Our own tools in every guest. They come last: a root file system's programs of the same name win. */
export const TOOLS = '/run/pk/bin';
/**
 * Fills in every default and picks the driver. `request` has passed checkCreateRequest.
 * Throws `invalid` (limits, combinations), `unavailable` (driver cannot run here) or `unsupported`.
 */
export function resolveSpec(request: CreateRequest, name: string, facts: HostFacts): InstanceSpec {
  checkWhole(request);
  const partition = (request.partition ?? null) as PartitionRequest | null;
  const { cpus, memoryBytes } = askedSize(request);
  const elastic = elasticOf(request);
  const mostCpus = Math.ceil(elastic?.cpus?.max ?? cpus);
  const { driver, reason } = chooseDriver(request.driver ?? 'auto', mostCpus, ableTo(elastic, request, facts));
  checkCpus(mostCpus, driver);
  checkMemory(memoryBytes, driver, facts.memoryBytes);
  if (elastic !== null) checkResize(elastic, memoryBytes, driver, facts.memoryBytes);
  if (partition !== null) checkPartition(partition, driver);
  const attached = request.attached ?? false;
  const fields = fieldsOf(request);
  if (partition !== null) checkDevices(partition.devices.length, driver, 'partition.devices');
  checkDevices(fields.devices.length, driver);
  const restart = (fields.restart ?? 'no') as InstanceSpec['restart'];
  const autoRemove = request.autoRemove ?? false;
  const publish = (request.publish ?? []).map(publishedPort);
  const network = request.network ?? (publish.length > 0 ? 'private' : 'none');
  checkNetworkKind(network, driver);
  if ((request.root ?? 'host') === 'host') checkRootKind('host', driver);
  checkVolumes(request.volumes?.length ?? 0, driver);
  checkRegions(request.channels?.length ?? 0, driver);
  const tty = request.tty ?? false;
  const spec: InstanceSpec = {
    ...fields,
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
    image: request.image || driver.traits.defaultImage,
    cpus,
    memoryBytes,
    elastic,
    root: request.root ?? 'host',
    volumes: (request.volumes ?? []).map((volume) => ({ ...volume, readOnly: volume.readOnly ?? false })),
    restart,
    attached,
    autoRemove,
    tty,
    merged: request.merged ?? false,
    rows: request.rows || 24,
    columns: request.columns || 80,
    partition,
    stack: null,
    channels: request.channels ?? [],
    network,
    publish,
  };
  checkStandby(spec, driver);
  return spec;
}

function publishedPort(port: NonNullable<CreateRequest['publish']>[number]): PublishedPort {
  const { hostAddress = '127.0.0.1', hostPort, guestPort, protocol = 'tcp' } = port;
  return { hostAddress: canonicalAddress(hostAddress), hostPort, guestPort, protocol };
}

/** For `auto` those drivers that can change memory and give functions, where that is wanted and there are some. */
function ableTo(
  elastic: Elastic | null,
  { driver = 'auto', devices = [], partition }: CreateRequest,
  facts: HostFacts,
): HostFacts {
  if (driver !== 'auto') return facts;
  const drivers = facts.drivers.filter(
    ({ capabilities }) =>
      (elastic?.memoryBytes == null || capabilities.memoryResize !== 'none') &&
      (devices.length + (partition?.devices.length ?? 0) === 0 || capabilities.devices !== 'none'),
  );
  return drivers.length === 0 ? facts : { ...facts, drivers };
}

/** Bounds within which the driver cannot change anything are refused, rather than stated in vain. */
function checkResize({ cpus, memoryBytes }: Elastic, declared: number, driver: Candidate, hostBytes: number): void {
  const { name, instead } = driver.traits;
  const { cpuResize, memoryResize } = driver.capabilities;
  const refuse = (field: string, what: string) => {
    throw new PolykernelError('unsupported', `the ${name} driver cannot change the ${what} of a kernel that runs`, {
      field: `elastic.${field}`,
      hint: `Leave it out${instead === null ? '' : `, or use --driver ${instead}`}.`,
    });
  };
  // The vCPUs of one whose share of a CPU changes stay.
  if (cpus !== null && Math.ceil(cpus.min) !== Math.ceil(cpus.max) && cpuResize === 'none')
    refuse('cpus', 'number of CPUs');
  if (memoryBytes === null) return;
  if (memoryResize === 'none') refuse('memoryBytes', 'memory');
  checkMemory(memoryBytes.max, driver, hostBytes);
  checkMemory(memoryBytes.min, driver, hostBytes);
  const step = driver.capabilities.memoryStepBytes;
  for (const [field, bytes] of [
    ['elastic.memoryBytes', memoryBytes.max],
    ['memoryBytes', declared],
  ] as const) {
    if ((bytes - memoryBytes.min) % step === 0) continue;
    throw new PolykernelError(
      'invalid',
      `the ${name} driver changes memory by ${formatBytes(step)}, and ${formatBytes(bytes)} is not so many above ${formatBytes(memoryBytes.min)}`,
      { field, value: bytes, hint: `Choose sizes that are ${formatBytes(step)} apart.` },
    );
  }
}

/** What the driver cannot make true is refused, rather than owned in vain. */
function checkPartition(partition: PartitionRequest, driver: Candidate): void {
  checkHugePages(partition.memory.hugePageBytes, driver);
  checkShare(partition.cpus.kind === 'shared', driver);
}

type Resolved = Pick<FieldSpec, Exclude<FieldKey, 'image' | 'network' | 'hostname'>>;

/** The plain fields: as asked for, else as their rows say. */
function fieldsOf(request: CreateRequest): Resolved {
  const given = fieldRows.flatMap(([key]) => (request[key] === undefined ? [] : [[key, request[key]]]));
  return { ...fieldDefaults, ...Object.fromEntries(given) } as Resolved;
}
