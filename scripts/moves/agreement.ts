/** Whether ledger, pins, control groups and guests say the same: read by ourselves from /proc and /sys, not from what the product reads. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import type { Client } from '../../src/client/index.ts';
import { parseCpuList } from '../../src/sys/cpu-list.ts';

export const MIB = 2 ** 20;
export const NAMES = ['web', 'batch', 'db'] as const;
export const STARTS_WITH_MIB = 80;

/** By kernel. */
interface Found {
  cpus: Record<string, number>;
  mib: Record<string, number>;
}

/** Rejects with what differs. `hidden`: KiB that the kernel of each keeps of its memory for itself. */
export async function checkAgreement(client: Client, hidden: ReadonlyMap<string, number>): Promise<Found> {
  const { partitions, housekeepingCpus } = await client.pool();
  assert.deepEqual(Object.keys(partitions).sort(), [...NAMES].sort(), 'owners');
  const found: Found = { cpus: {}, mib: {} };
  for (const name of NAMES) {
    const { cpus, memory } = partitions[name]!;
    const { pid, size, placement } = await client.inspect(name);
    assert.equal(cpus.length, 1, `${name} owns one CPU`);
    assert.deepEqual(placement!.vcpuCpus, cpus, `${name}: its record and the ledger`);
    checkThreads(name, pid!, cpus[0]!, housekeepingCpus);
    const bytes = memory.reduce((sum, each) => sum + each.bytes, 0);
    assert.equal(bytes, size.memoryBytes, `${name}: its memory in the ledger and its size`);
    assert.equal(await memoryKib(client, name), bytes / 1024 - hidden.get(name)!, `${name}: its own /proc/meminfo`);
    found.cpus[name] = cpus[0]!;
    found.mib[name] = bytes / MIB;
  }
  assert.equal(new Set(Object.values(found.cpus)).size, NAMES.length, 'a CPU has one owner');
  return found;
}

/** What the kernel has, less what its agent holds, locked, for what was taken out. */
export async function memoryKib(client: Client, name: string): Promise<number> {
  const meminfo = await text(await client.getFile(name, '/proc/meminfo'));
  const [total, locked] = ['MemTotal', 'Mlocked'].map((what) =>
    Number(new RegExp(`^${what}: +(\\d+)`, 'm').exec(meminfo)![1]),
  );
  return total! - locked!;
}

/** Each thread of the VMM, and of what it started for its guest, is on the CPU that the kernel owns or on those of the host; one at least on the first. */
function checkThreads(name: string, vmm: number, owned: number, housekeeping: readonly number[]): void {
  const allowed = processesFrom(vmm).flatMap((pid) => list(`/proc/${pid}/task`).map((tid) => threadOf(pid, tid)));
  const wrong = allowed.filter(
    ({ cpus }) => cpus.join() !== String(owned) && !cpus.every((cpu) => housekeeping.includes(cpu)),
  );
  assert.deepEqual(wrong, [], `${name} owns CPU ${owned}: threads elsewhere`);
  const own = allowed.filter(({ cpus }) => cpus.join() === String(owned));
  assert.ok(own.length > 0, `${name} owns CPU ${owned}: none of ${JSON.stringify(allowed)} is there`);
  for (const { tid, group } of own) assert.ok(group.includes(owned), `${name}: the group of ${tid} has CPUs ${group}`);
}

function threadOf(pid: number, tid: string) {
  const status = read(`/proc/${pid}/task/${tid}/status`);
  const group = /^0::(.*)$/m.exec(read(`/proc/${pid}/task/${tid}/cgroup`))?.[1] ?? '/';
  return {
    tid,
    // One that has ended is nowhere.
    cpus: parseCpuList(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? ''),
    group: parseCpuList(read(`/sys/fs/cgroup${group}/cpuset.cpus.effective`).trim()),
  };
}

function processesFrom(vmm: number): number[] {
  const children = (pid: number): number[] =>
    list(`/proc/${pid}/task`).flatMap((tid) =>
      read(`/proc/${pid}/task/${tid}/children`).split(' ').filter(Boolean).map(Number),
    );
  const all = [vmm];
  for (const pid of all) all.push(...children(pid));
  return all;
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
