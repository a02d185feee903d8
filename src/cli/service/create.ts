import { connect } from '../../client/index.ts';
import type { ServiceRequest } from '../../service/contract.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { SERVICE_OPTIONS, serviceOptions } from './options.ts';

export const command: Command = {
  summary: 'lead a port of this machine to several instances',
  usage: '--port PORT --target INSTANCE[:PORT][,...] [OPTION]... NAME',
  description:
    'Targets are instances in the private network; they need not exist yet. One that does not run, or whose check fails,\n' +
    'gets no requests, and those it had go to another. Prints the name.',
  options: { ...SERVICE_OPTIONS, json: JSON_OPTION },
  arguments: [1, 1],
  examples: [
    ['pk service create api --port 8080 --target web1,web2,web3:80', '127.0.0.1:8080 to port 80 of three kernels'],
    ['pk service create api --port 8080 --target web1,web2:80 --check /health --slo p99=20ms', 'with a promise'],
    ['pk service create db --port 5432 --target db1 --mode tcp', 'connections instead of requests'],
  ],
  async run(invocation) {
    const options = serviceOptions(invocation);
    for (const name of ['port', 'targets'] as const) {
      if (options[name] !== undefined) continue;
      const option = name === 'port' ? '--port' : '--target';
      throw new PolykernelError('invalid', `${option} is missing`, {
        field: option,
        hint: 'pk service create api --port 8080 --target web1,web2:80',
      });
    }
    const service = await (await connect()).createService({
      name: invocation.positionals[0]!,
      ...options,
    } as ServiceRequest);
    return answer(invocation, service, ({ name }) => `${name}\n`);
  },
};
