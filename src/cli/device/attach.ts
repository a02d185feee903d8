import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { answer } from '../kit/output.ts';
import { leaseText } from '../sriov/text.ts';

export const command: Command = {
  summary: 'give an instance a PCI function, also while it runs',
  usage: 'NAME DEVICE',
  description:
    'A device is an address, or `vf:` with a kind: any, network, nvme, storage, gpu, accelerator, crypto; with =NAME behind it the guest\n' +
    'finds it by that name in /run/pk/functions. All or nothing: where the guest does not take it, it is given back. All memory of the\n' +
    'kernel is pinned from then on. Where no kernel runs, the next one gets it.',
  options: { json: JSON_OPTION },
  arguments: [2, 2],
  complete: 'instance',
  examples: [
    ['pk device attach web 0000:3b:00.2=nic0', 'this one, which web calls nic0'],
    ['pk device attach db vf:nvme', 'any virtual NVMe controller that is free'],
  ],
  async run(invocation) {
    const [name, device] = invocation.positionals as [string, string];
    const client = await connect();
    return answer(
      invocation,
      await withProgress((say) => client.attachFunction(name, { device }, say)),
      (got) => `${leaseText(got)}${got.running ? '' : 'No kernel runs: the next one gets it.\n'}`,
    );
  },
};
