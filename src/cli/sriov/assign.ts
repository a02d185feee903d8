import { connect } from '../../client/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { leaseText } from './text.ts';

export const command: Command = {
  summary: 'give a PCI function to an instance',
  usage: '--to NAME DEVICE',
  description:
    "For the instance's next kernel, and until it is removed or the function is released. A device is an address, or `vf:` with a\n" +
    'kind: any, network, nvme, storage, gpu, accelerator, crypto.',
  options: { to: { value: 'NAME', complete: 'instance', help: 'whose it is to be' }, json: JSON_OPTION },
  arguments: [1, 1],
  examples: [
    ['pk sriov assign 0000:3b:00.2 --to web', 'this one'],
    ['pk sriov assign vf:nvme --to web', 'any virtual NVMe controller that is free'],
  ],
  async run(invocation) {
    const to = invocation.value('to');
    if (to === undefined)
      throw new PolykernelError('invalid', '--to is missing', {
        field: '--to',
        hint: 'Name an instance: see `pk ps -a`.',
      });
    const lease = await (await connect()).assignFunction({ device: invocation.positionals[0]!, to });
    return answer(invocation, lease, leaseText);
  },
};
