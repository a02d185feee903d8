/** What the `pool` commands share: their options, and how a pool is shown. */
import type { PoolReport, PoolRequest } from '../../api/index.ts';
import { totalBytes } from '../../ledger/index.ts';
import { formatCpuList, parseCpuList } from '../../sys/cpu-list.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { formatBytes, parseBytes } from '../../sys/units.ts';
import { normalizePciAddress } from '../../topology/index.ts';
import type { Invocation, OptionSpec } from '../kit/command.ts';
import { table } from '../kit/table.ts';

export const POOL_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  cpus: { value: 'LIST', help: 'CPUs, such as 2-7,10' },
  shared: { value: 'LIST', help: 'those of them that several instances may share' },
  memory: {
    short: 'm',
    value: 'SIZE|NODE:SIZE,...',
    help: "memory, in all or per NUMA node (default: the CPUs' share)",
  },
  device: { value: 'ADDRESS', multiple: true, help: 'a PCI function, such as 0000:3b:00.0' },
};

/** Throws `invalid` naming the option. `--shared` counts among `--cpus`. */
export function poolRequest(invocation: Invocation): PoolRequest {
  const sharedCpus = cpuList(invocation, 'shared');
  return {
    cpus: [...new Set([...cpuList(invocation, 'cpus'), ...sharedCpus])].sort((a, b) => a - b),
    sharedCpus,
    memory: memory(invocation.value('memory')),
    devices: invocation.values('device').map((text) => normalizePciAddress(text, '--device')),
  };
}

function cpuList(invocation: Invocation, option: string): number[] {
  const text = invocation.value(option);
  if (text === undefined) return [];
  try {
    return parseCpuList(text);
  } catch {
    throw new PolykernelError('invalid', `--${option}: ${JSON.stringify(text)} is not a list of CPUs`, {
      field: `--${option}`,
      value: text,
      hint: 'Write numbers and ranges, such as 2-7,10.',
    });
  }
}

function memory(text: string | undefined): PoolRequest['memory'] {
  if (text === undefined) return { kind: 'share' };
  if (!text.includes(':')) return { kind: 'size', bytes: parseBytes(text, '--memory') };
  const parts = text.split(',').map((part) => {
    const match = /^(\d{1,5}):(.+)$/.exec(part);
    if (match === null) {
      throw new PolykernelError('invalid', `--memory: ${JSON.stringify(part)} is not NODE:SIZE`, {
        field: '--memory',
        value: text,
        hint: 'Write 24G, or a size for each NUMA node: 0:12G,1:12G.',
      });
    }
    return { node: Number(match[1]), bytes: parseBytes(match[2]!, '--memory') };
  });
  return { kind: 'nodes', memory: parts };
}

/** The pool and its owners, for people. */
export function poolText({ pool, partitions, free, housekeepingCpus, enforced, notes }: PoolReport): string {
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
