/**
 * The record of who owns what, as pure operations: each takes a ledger and gives the next one, or throws and nothing has
 * changed. To undo an operation is to go back to the value before it.
 *
 * INVARIANTS (checkLedger; every operation keeps them)
 * - L1 Without a pool there is no partition.
 * - L2 A CPU of the pool has exactly one owner: one partition, the shared class, or the pool itself (free).
 * - L3 A partition has dedicated CPUs or a part in shared ones, never both; neither where it is memory alone, of one that stands by.
 * - L4 No shared CPU is promised to more than 1000 thousandths.
 * - L5 On each node the partitions' memory adds up to no more than the pool's; what is left is the pool's own.
 * - L6 A PCI function of the pool belongs to one partition or to the pool.
 * - L7 Whatever a partition has is in the pool, and sharedCpus is part of the pool's cpus.
 */
import { cpusText } from '../sys/cpu-list.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import { addMemory, bytesOn, subtractMemory } from './memory.ts';
import type { Ledger, NodeMemory, Partition, Pool } from './types.ts';

export const EMPTY_LEDGER: Ledger = { pool: null, partitions: {} };

/** What nobody owns. */
export interface Free {
  /** Dedicated CPUs. */
  cpus: readonly number[];
  /** Thousandths left on each shared CPU, ascending by CPU. */
  shared: readonly { cpu: number; milliCpus: number }[];
  memory: readonly NodeMemory[];
  devices: readonly string[];
}

/** Throws `conflict` when there is a pool already. */
export function initPool(ledger: Ledger, pool: Pool): Ledger {
  if (ledger.pool !== null) {
    throw new PolykernelError('conflict', `there is a pool already: ${cpusText(ledger.pool.cpus)}`, {
      field: 'pool',
      hint: 'Change it with `pk pool grow` and `pk pool shrink`, or give it back with `pk pool release`.',
    });
  }
  return checked({ ...ledger, pool });
}

/**
 * Replaces the pool by another one. Throws `conflict` naming the owner of whatever would no longer be in it, and
 * `not-found` when there is no pool. `reserved`: what has to stay in it besides.
 */
export function changePool(ledger: Ledger, pool: Pool, reserved: Ledger['partitions'] = {}): Ledger {
  requirePool(ledger);
  const next = { ...ledger, pool };
  const [problem] = shortages({ pool, partitions: { ...ledger.partitions, ...reserved } });
  if (problem === undefined) return checked(next);
  throw new PolykernelError('conflict', `the pool cannot shrink: ${problem.text}`, {
    field: problem.field,
    value: problem.owner,
    hint:
      problem.owner in ledger.partitions
        ? `Remove ${problem.owner} first (pk rm -f ${problem.owner}), or keep that in the pool.`
        : 'Try again when that is over, or keep that in the pool.',
  });
}

/** Gives everything back to the host. Throws `conflict` naming the owners while there are any, `not-found` without a pool. */
export function releasePool(ledger: Ledger): Ledger {
  requirePool(ledger);
  const owners = Object.keys(ledger.partitions).sort();
  if (owners.length > 0) {
    throw new PolykernelError('conflict', `the pool is in use by ${owners.join(', ')}`, {
      field: 'pool',
      hint: `Remove ${owners.length === 1 ? 'it' : 'them'} first: pk rm -f ${owners.join(' ')}`,
    });
  }
  return EMPTY_LEDGER;
}

/**
 * Gives each named owner its new partition (null = none) in one step, so that owners can also exchange what they have.
 * Throws `conflict` naming what is owned twice and by whom.
 */
export function assign(ledger: Ledger, changes: Readonly<Record<string, Partition | null>>): Ledger {
  const partitions: Record<string, Partition> = {};
  for (const [owner, partition] of Object.entries({ ...ledger.partitions, ...changes })) {
    if (partition !== null) partitions[owner] = partition;
  }
  const next = { ...ledger, partitions };
  if (Object.keys(partitions).length > 0) requirePool(next);
  return checked(next);
}

export function free(ledger: Ledger): Free {
  const { pool } = ledger;
  if (pool === null) return { cpus: [], shared: [], memory: [], devices: [] };
  const partitions = Object.values(ledger.partitions);
  const owned = new Set(partitions.flatMap((partition) => partition.cpus));
  const shared = new Set(pool.sharedCpus);
  const promised = promisedMilliCpus(partitions);
  const devices = new Set(partitions.flatMap((partition) => partition.devices));
  return {
    cpus: pool.cpus.filter((cpu) => !owned.has(cpu) && !shared.has(cpu)),
    shared: pool.sharedCpus.map((cpu) => ({ cpu, milliCpus: 1000 - (promised.get(cpu) ?? 0) })),
    memory: subtractMemory(pool.memory, ...partitions.map((partition) => partition.memory)),
    devices: pool.devices.filter((address) => !devices.has(address)),
  };
}

/** Thousandths promised on each shared CPU. A claim on several CPUs has the same part, rounded up, on each. */
export function promisedMilliCpus(partitions: readonly Partition[]): Map<number, number> {
  const promised = new Map<number, number>();
  for (const { shared } of partitions) {
    for (const cpu of shared?.cpus ?? []) {
      promised.set(cpu, (promised.get(cpu) ?? 0) + Math.ceil(shared!.milliCpus / shared!.cpus.length));
    }
  }
  return promised;
}

/** Every way in which `ledger` breaks its invariants, as sentences; empty for a true one. */
export function checkLedger(ledger: Ledger): string[] {
  const { pool } = ledger;
  const owners = Object.keys(ledger.partitions).sort();
  if (pool === null) return owners.map((owner) => `${owner} owns a partition of no pool`);
  const problems = shortages(ledger).map((problem) => problem.text);
  const inPool = new Set(pool.cpus);
  for (const cpu of pool.sharedCpus) if (!inPool.has(cpu)) problems.push(`shared CPU ${cpu} is not in the pool`);
  const cpuOwner = new Map(pool.sharedCpus.map((cpu) => [cpu, 'the shared class']));
  const deviceOwner = new Map<string, string>();
  for (const owner of owners) {
    const partition = ledger.partitions[owner]!;
    const isBoth = partition.cpus.length > 0 && partition.shared !== null;
    if (isBoth || (isCpuless(partition) && partition.memory.length === 0))
      problems.push(`${owner} must have either dedicated or shared CPUs, or memory alone`);
    for (const cpu of partition.cpus) claimOnce(cpuOwner, cpu, owner, `CPU ${cpu}`, problems);
    for (const device of partition.devices) claimOnce(deviceOwner, device, owner, `device ${device}`, problems);
  }
  for (const [cpu, milliCpus] of promisedMilliCpus(Object.values(ledger.partitions))) {
    if (milliCpus > 1000) problems.push(`shared CPU ${cpu} is promised ${milliCpus / 1000} times`);
  }
  return problems;
}

/** It owns memory alone: its kernel stands by, and runs on CPUs of the housekeeping if at all. */
const isCpuless = ({ cpus, shared }: Partition): boolean => cpus.length === 0 && shared === null;

function claimOnce<Key>(owners: Map<Key, string>, key: Key, owner: string, what: string, problems: string[]): void {
  const other = owners.get(key);
  if (other === undefined) owners.set(key, owner);
  else problems.push(`${what} belongs to ${other} and cannot belong to ${owner}`);
}

/** What partitions have that the pool does not (L5, L6 and L7). */
function shortages({ pool, partitions }: Ledger): { field: string; owner: string; text: string }[] {
  if (pool === null) return [];
  const problems: { field: string; owner: string; text: string }[] = [];
  const dedicated = new Set(pool.cpus);
  const shared = new Set(pool.sharedCpus);
  for (const cpu of shared) dedicated.delete(cpu);
  const devices = new Set(pool.devices);
  const owners = Object.keys(partitions).sort();
  for (const owner of owners) {
    const partition = partitions[owner]!;
    const outside = partition.cpus.filter((cpu) => !dedicated.has(cpu) && !shared.has(cpu));
    if (outside.length > 0)
      problems.push({ field: 'cpus', owner, text: `${owner} owns ${cpusText(outside)}, outside the pool` });
    const notShared = (partition.shared?.cpus ?? []).filter((cpu) => !shared.has(cpu));
    if (notShared.length > 0)
      problems.push({
        field: 'shared',
        owner,
        text: `${owner} shares ${cpusText(notShared)}, outside the shared class`,
      });
    for (const device of partition.devices) {
      if (!devices.has(device))
        problems.push({ field: 'devices', owner, text: `${owner} owns ${device}, outside the pool` });
    }
  }
  const used = addMemory(...owners.map((owner) => partitions[owner]!.memory));
  for (const { node, bytes } of used) {
    const over = bytes - bytesOn(pool.memory, node);
    if (over <= 0) continue;
    const holders = owners.filter((owner) => bytesOn(partitions[owner]!.memory, node) > 0);
    problems.push({
      field: 'memory',
      owner: holders[0]!,
      text: `${holders.join(', ')} ${holders.length === 1 ? 'has' : 'have'} ${formatBytes(bytes)} on node ${node}, ${over} bytes more than the pool`,
    });
  }
  return problems;
}

function requirePool(ledger: Ledger): Pool {
  if (ledger.pool !== null) return ledger.pool;
  throw new PolykernelError('not-found', 'there is no pool', {
    field: 'pool',
    hint: 'Make one: pk pool init --cpus LIST --memory SIZE',
  });
}

function checked(ledger: Ledger): Ledger {
  const [problem] = checkLedger(ledger);
  if (problem !== undefined) throw new PolykernelError('conflict', problem, { field: 'partition' });
  return ledger;
}
