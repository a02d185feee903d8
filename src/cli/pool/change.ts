/** The shape of the commands that change the pool: what is asked for, and the pool as it is then. */

import { type Client, connect } from '../../client/index.ts';
import type { PoolReport, PoolRequest } from '../../pool/contract.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { POOL_OPTIONS, poolRequest } from './options.ts';
import { poolText } from './text.ts';

export function change(
  describe: Pick<Command, 'summary' | 'description' | 'examples'>,
  act: (client: Client, request: PoolRequest & { dryRun?: boolean }) => Promise<PoolReport>,
): Command {
  return {
    ...describe,
    usage: '[OPTION]...',
    options: {
      ...POOL_OPTIONS,
      'dry-run': { help: 'show the pool as it would be, and change nothing' },
      json: JSON_OPTION,
    },
    arguments: [0, 0],
    async run(invocation) {
      const request = { ...poolRequest(invocation), ...(invocation.flag('dry-run') && { dryRun: true }) };
      return answer(invocation, await act(await connect(), request), poolText);
    },
  };
}
