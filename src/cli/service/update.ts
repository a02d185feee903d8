import { connect } from '../../client/index.ts';
import type { ServiceRequest, ServiceStatus } from '../../service/contract.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { SERVICE_OPTIONS, serviceOptions } from './options.ts';

export const command: Command = {
  summary: 'change a service while it serves',
  usage: '[OPTION]... NAME',
  description:
    'What is not mentioned stays. --target gives all targets anew, with weight 100 where they are new. Connections to\n' +
    'targets that stay are kept.',
  options: { ...SERVICE_OPTIONS, json: JSON_OPTION },
  arguments: [1, 1],
  complete: 'service',
  examples: [['pk service update api --target web1,web2,web3,web4:80', 'one more target']],
  async run(invocation) {
    const options = serviceOptions(invocation);
    const client = await connect();
    const is = await client.service(invocation.positionals[0]!);
    const service = await client.replaceService({ ...requestOf(is), ...options });
    return answer(invocation, service, ({ name }) => `${name}\n`);
  },
};

/** That would make it again as it is. */
function requestOf({ name, port, bind, mode, balance, check, slo, targets }: ServiceStatus): ServiceRequest {
  const { latency, availability } = slo;
  return {
    ...{ name, port, bind, mode, balance },
    ...(check !== null && { check }),
    slo: { ...(latency !== null && { latency }), ...(availability !== null && { availability }) },
    targets: targets.map(({ instance, port, weight }) => ({ instance, port, weight })),
  };
}
