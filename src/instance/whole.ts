/** What parts of a request say against each other, whatever the machine: for stack files that are only looked at, too. Pure. */
import { type PartitionRequest, requestedBytes, vcpusOf } from '../ledger/index.ts';
import { addressProblem } from '../network/contract.ts';
import { deviceWish } from '../sriov/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { checkKernelWords } from './kernel-words.ts';
import type { CreateRequest } from './schema.ts';
import { checkElastic } from './size.ts';
import type { Elastic } from './spec.ts';

export const DEFAULT_MEMORY_BYTES = 256 * 2 ** 20;

/** Of a request each field of which is right for itself. Throws `invalid` naming the field. */
export function checkWhole(request: CreateRequest): void {
  checkSizes(request);
  checkEnd(request);
  if (request.append !== undefined) checkKernelWords(request.append);
  checkFunctions(request);
  for (const [index, { hostAddress }] of (request.publish ?? []).entries()) {
    const reason = hostAddress === undefined ? undefined : addressProblem(hostAddress);
    if (reason !== undefined)
      throw invalid(`publish[${index}].hostAddress`, hostAddress, `${JSON.stringify(hostAddress)} ${reason}`, {
        hint: 'Give an address of this machine, such as 127.0.0.1 or ::1.',
      });
  }
  if (request.network === 'none' && (request.publish ?? []).length > 0)
    throw invalid('network', 'none', 'ports are published, and the instance has no network', {
      hint: 'Leave --network out, or use --network private.',
    });
}

/** Undefined bounds are null. */
export function elasticOf({ elastic }: CreateRequest): Elastic | null {
  const { cpus = null, memoryBytes = null } = elastic ?? {};
  return cpus === null && memoryBytes === null ? null : { cpus, memoryBytes };
}

/** What it is declared with: as asked for, as its partition says, or by default. */
export function askedSize({ cpus = 1, memoryBytes = DEFAULT_MEMORY_BYTES, partition }: CreateRequest) {
  if (!partition) return { cpus, memoryBytes };
  return { cpus: vcpusOf(partition.cpus), memoryBytes: requestedBytes(partition.memory) };
}

function checkSizes(request: CreateRequest): void {
  const partition = (request.partition ?? null) as PartitionRequest | null;
  const field = request.cpus !== undefined ? 'cpus' : 'memoryBytes';
  if (partition !== null && request[field] !== undefined)
    throw invalid(field, request[field], `${field} is given beside a partition, which says that already`, {
      hint: `Leave ${field} out, or the partition.`,
    });
  checkElastic({ ...askedSize(request), elastic: elasticOf(request), partition });
}

/** Addresses of PCI functions that it asks for besides those of its partition, with the place of each. */
export function functionsOf({ devices = [] }: Pick<CreateRequest, 'devices'>): { field: string; address: string }[] {
  return devices.flatMap((text, index) => {
    if (text.startsWith('vf:')) return [];
    const field = `devices[${index}]`;
    const wish = deviceWish(text, field);
    return wish.kind === 'address' ? [{ field, address: wish.address }] : [];
  });
}

/** What becomes of it when it ends. */
function checkEnd({ attached, autoRemove, restart = 'no', heal = 'no' }: CreateRequest): void {
  const foreground = 'but a foreground instance ends with its client';
  if (attached && restart !== 'no')
    throw invalid('restart', restart, `restart is ${JSON.stringify(restart)}, ${foreground}`, {
      hint: 'Run it detached (`pk run -d`) to have it restarted.',
    });
  if (attached && heal !== 'no')
    throw invalid('heal', heal, `heal is ${heal}, ${foreground}`, {
      hint: 'Run it detached (`pk run -d`) to have it healed.',
    });
  if (autoRemove && restart !== 'no')
    throw invalid('autoRemove', true, `it is to be removed at its end, and to be restarted: ${restart}`, {
      hint: 'Leave --rm out, or --restart.',
    });
}

/** A function may write to all memory of its kernel at any time: none of it can go. */
function checkFunctions({ devices = [], partition, elastic }: CreateRequest): void {
  const wishes = devices.map((text, index) => deviceWish(text, `devices[${index}]`));
  const keys = wishes.map((wish) => (wish.kind === 'address' ? wish.address : undefined));
  for (const [index, wish] of wishes.entries()) {
    const field = `devices[${index}]`;
    if (wish.name !== null && wishes.findIndex(({ name }) => name === wish.name) < index)
      throw invalid(field, wish.name, `two devices are called ${wish.name}`, { hint: 'Call one of them otherwise.' });
    if (keys[index] !== undefined && keys.indexOf(keys[index]) < index)
      throw invalid(field, keys[index], `${keys[index]} is asked for twice`, { hint: 'Leave one of them out.' });
  }
  if (wishes.length + (partition?.devices.length ?? 0) === 0 || elastic?.memoryBytes == null) return;
  throw invalid(
    'elastic.memoryBytes',
    elastic.memoryBytes,
    'memory cannot be taken from a kernel that PCI functions write to',
    {
      hint: 'Leave the bounds of its memory out, or the devices.',
    },
  );
}

const invalid = (field: string, value: unknown, message: string, more: { hint: string }): PolykernelError =>
  new PolykernelError('invalid', message, { field, value, ...more });
