/** Whose machine is drawn: this one, another, or another as a stack would make it. */
import type { MachineReport } from '../../pool/contract.ts';
import { type Command, type Invocation, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { wantsColor } from '../kit/paint.ts';
import { terminalSize } from '../kit/terminal.ts';
import { loadStack } from '../stack/file.ts';
import { STACK_OPTION } from '../stack/options.ts';
import { HOST_OPTION } from '../topology/host-option.ts';
import { drawMap } from './draw.ts';

export const command: Command = {
  summary: 'draw the machine, coloured by owner',
  usage: '[--host DIR|FILE [-f FILE]]',
  description: 'With --host, another machine; with -f as well, as it would be with that stack applied.',
  options: { ...HOST_OPTION, ...STACK_OPTION, json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk map', 'this machine: who owns which CPUs and memory']],
  async run(invocation) {
    const { topology, ledger } = await machine(invocation);
    return answer(invocation, { topology, ledger }, () =>
      drawMap(topology, ledger, { color: wantsColor(), width: terminalSize().columns || 80 }),
    );
  },
};

async function machine(invocation: Invocation): Promise<MachineReport> {
  const host = invocation.value('host');
  if (host === undefined) {
    const { connect } = await import('../../client/index.ts');
    return (await connect()).machine();
  }
  const [{ planFor }, { readHost }] = await Promise.all([
    import('../../stack/contract.ts'),
    import('../topology/host.ts'),
  ]);
  const topology = await readHost(host);
  if (invocation.value('file') === undefined) return { topology, ledger: { pool: null, partitions: {} } };
  const plan = planFor((await loadStack(invocation)).stack, topology);
  const placed = plan.kernels.flatMap(({ name, placement }) =>
    placement === null ? [] : [[name, placement.partition] as const],
  );
  return { topology, ledger: { pool: plan.pool.after, partitions: Object.fromEntries(placed) } };
}
