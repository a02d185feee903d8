import { PolykernelError } from '../../sys/errors.ts';
import { parseCpus } from '../kit/cpus.ts';
import { parseMemory } from './amounts.ts';
import { change } from './change.ts';

export const command = change(
  {
    summary: 'give a kernel other CPUs or memory while it runs',
    usage: '[OPTION]... NAME',
    description:
      'Within the bounds that it was created with (`pk run --elastic-cpus`, `elastic` in a stack file), without a restart; what it\n' +
      'owns of a pool comes from there and goes back there. A kernel that does not run begins with it.',
    options: {
      cpus: { value: 'N', help: 'so many CPUs, or such a share of one, as 0.5' },
      memory: { short: 'm', value: 'SIZE', help: 'so much memory' },
    },
    arguments: [1, 1],
    complete: 'instance',
    examples: [['pk update web --cpus 3 --memory 1G', 'at once, while it runs']],
  },
  (client, invocation, dryRun, say, signal) => {
    const number = invocation.value('cpus');
    const cpus = number === undefined ? undefined : parseCpus(number, '--cpus');
    const memory = invocation.value('memory');
    if (cpus === undefined && memory === undefined) {
      throw new PolykernelError('invalid', 'neither --cpus nor --memory is given', {
        field: '--cpus',
        hint: 'Say what it is to have: pk update web --cpus 3',
      });
    }
    const memoryBytes = memory === undefined ? undefined : parseMemory(memory, '--memory');
    const request = { ...(cpus && { cpus }), ...(memoryBytes !== undefined && { memoryBytes }), dryRun };
    return client.resize(invocation.positionals[0]!, request, say, signal);
  },
);
