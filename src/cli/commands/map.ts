import type { MachineReport } from '../../pool/contract.ts';
import type { Command } from '../command.ts';
import { JSON_OPTION } from '../instances.ts';
import { drawMap } from '../machine-map.ts';
import { print, printJson } from '../output.ts';
import { wantsColor } from '../paint.ts';
import { loadStack } from '../stack-file.ts';
import { HOST_OPTION, STACK_OPTION } from '../stack-options.ts';
import { terminalSize } from '../terminal.ts';

export const command: Command = {
  summary: 'draw the machine, coloured by owner',
  usage: '[--host DIR|FILE [-f FILE]]',
  description: 'With --host, another machine; with -f as well, as it would be with that stack applied.',
  options: { ...HOST_OPTION, ...STACK_OPTION, json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk map', 'this machine: who owns which CPUs and memory']],
  async run(invocation) {
    const { topology, ledger } = await machine(invocation.value('host'), invocation.value('file'));
    if (invocation.flag('json')) await printJson({ topology, ledger });
    else await print(drawMap(topology, ledger, { color: wantsColor(), width: terminalSize().columns || 80 }));
    return 0;
  },
};

async function machine(host: string | undefined, file: string | undefined): Promise<MachineReport> {
  if (host === undefined) {
    const { connect } = await import('../../client/index.ts');
    return (await connect()).machine();
  }
  const [{ planFor }, { readHost }] = await Promise.all([import('../../stack/contract.ts'), import('../host.ts')]);
  const topology = await readHost(host);
  if (file === undefined) return { topology, ledger: { pool: null, partitions: {} } };
  const plan = planFor((await loadStack(file)).stack, topology);
  const placed = plan.kernels.flatMap(({ name, placement }) =>
    placement === null ? [] : [[name, placement.partition] as const],
  );
  return { topology, ledger: { pool: plan.pool.after, partitions: Object.fromEntries(placed) } };
}
