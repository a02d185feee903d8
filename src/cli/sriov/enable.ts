import { connect } from '../../client/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { answer } from '../kit/output.ts';
import { countText } from './text.ts';

/** NumVFs has 16 bits (PCIe 9.3.3.7). */
const MOST = 65_535;

export const command: Command = {
  summary: 'make virtual functions of a PCI function',
  usage: '--vfs N ADDRESS',
  description:
    'Now, and after each start of this machine. The kernel can only make all of them at once: with another number those that\n' +
    'there are go first, which is refused while one is in use. So ask once for as many as there will be. On cards whose\n' +
    'firmware sets the most that there can be, that takes a tool of the vendor and a restart.',
  options: { vfs: { value: 'N', help: 'how many' }, json: JSON_OPTION },
  arguments: [1, 1],
  examples: [['pk sriov enable 0000:3b:00.0 --vfs 127', 'as many as the first NVMe controller has']],
  async run(invocation) {
    const count = invocation.integer('vfs', 1, MOST);
    if (count === undefined)
      throw new PolykernelError('invalid', '--vfs is missing', { field: '--vfs', hint: 'Say how many: --vfs 8' });
    const client = await connect();
    const request = { address: invocation.positionals[0]!, count };
    return answer(invocation, await withProgress((say) => client.setVirtualFunctions(request, say)), countText);
  },
};
