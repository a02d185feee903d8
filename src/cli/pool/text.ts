/** A pool and its owners as text. Pure. */

import { totalBytes } from '../../ledger/index.ts';
import type { PoolReport } from '../../pool/contract.ts';
import { formatCpuList } from '../../sys/cpu-list.ts';
import { formatBytes } from '../../sys/units.ts';
import { formatApicIds } from '../kit/apic-ids.ts';
import { table } from '../kit/table.ts';

/** The pool and its owners, for people. */
export function poolText({ pool, partitions, free, housekeepingCpus, apicIds, enforced, notes }: PoolReport): string {
  const dedicated = pool.cpus.filter((cpu) => !pool.sharedCpus.includes(cpu));
  const onNodes = (parts: readonly { node: number; bytes: number }[]) =>
    parts.length === 0 ? '-' : parts.map(({ node, bytes }) => `${formatBytes(bytes)} on node ${node}`).join(', ');
  const list = (cpus: readonly number[]) => (cpus.length === 0 ? '-' : formatCpuList(cpus));
  const owners = Object.entries(partitions).map(([owner, { cpus, shared, memory: own, devices }]) => [
    owner,
    shared === null ? list(cpus) : `${shared.milliCpus / 1000} of ${list(shared.cpus)}`,
    formatBytes(totalBytes(own)),
    devices.join(' ') || '-',
  ]);
  const left = free.shared.map(({ cpu, milliCpus }) => `${milliCpus / 1000} of ${cpu}`);
  const rows = [
    ...owners,
    [
      '(free)',
      [list(free.cpus), ...left].filter((text) => text !== '-').join(', ') || '-',
      formatBytes(totalBytes(free.memory)),
      free.devices.join(' ') || '-',
    ],
  ];
  return [
    `CPUs          ${list(dedicated)}${pool.sharedCpus.length > 0 ? `, shared ${list(pool.sharedCpus)}` : ''}`,
    ...(apicIds.length > 0 ? [`APIC ids      ${formatApicIds(apicIds)}`] : []),
    `memory        ${onNodes(pool.memory)}`,
    ...(pool.devices.length > 0 ? [`devices       ${pool.devices.join(' ')}`] : []),
    `housekeeping  ${list(housekeepingCpus)}`,
    '',
    table(['OWNER', 'CPUS', 'MEMORY', 'DEVICES'], rows).trimEnd(),
    ...(enforced.length > 0 ? ['', 'Enforced by the host kernel:', ...enforced.map((text) => `  ${text}`)] : []),
    ...(notes.length > 0 ? ['', 'Not enforced:', ...notes.map((text) => `  ${text}`)] : []),
    '',
  ].join('\n');
}
