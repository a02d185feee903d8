/** What the options of `pk pool init`, `grow` and `shrink` ask for. Pure. */
import type { PoolRequest } from '../../pool/contract.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { parseBytes } from '../../sys/units.ts';
import { normalizePciAddress } from '../../topology/index.ts';
import type { Invocation, OptionSpec } from '../kit/command.ts';
import { parseCpuSet } from '../kit/cpus.ts';

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
  return text === undefined ? [] : parseCpuSet(text, `--${option}`);
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
