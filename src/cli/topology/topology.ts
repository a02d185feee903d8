import { readTopology } from '../../topology/read.ts';
import { summarize } from '../../topology/summary.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';

// Asks no daemon and imports little: it is to take hardly longer than lstopo does (bench/topology.ts).
export const command: Command = {
  summary: 'show packages, cores, caches, memory and devices of a machine',
  usage: '[--root DIR] [--json]',
  description: 'In the list of cores, `0-7 / 8-15` are the first and the second threads of eight cores.',
  options: {
    root: { value: 'DIR', complete: 'file', help: "another machine's sys and proc (default /)" },
    json: JSON_OPTION,
  },
  arguments: [0, 0],
  examples: [
    ['pk topology', 'this machine'],
    ['pk topology --root snapshot --json > host.json', 'another one, as `pk plan --host host.json` reads it'],
  ],
  async run(invocation) {
    const topology = readTopology(invocation.value('root'));
    if (invocation.flag('json')) await printJson({ summary: summarize(topology), ...topology });
    else await print((await import('./text.ts')).topologyText(topology));
    return 0;
  },
};
