import { connect } from '../../client/index.ts';
import type { NetworkChange } from '../../sriov/contract.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';

export const command: Command = {
  summary: 'set the network of a leased virtual function',
  usage: '[--dry-run] ADDRESS SETTING=VALUE...',
  description:
    'Settings are mac=52:54:00:12:34:56, vlan=100 (0: none), qos=0-7, max-rate=MBIT, min-rate=MBIT (0: no bound), trust=on|off and\n' +
    'spoof-check=on|off. They are read back, and all or none; they hold for later kernels of the owner too, and go when it is released.',
  options: { 'dry-run': { help: 'only show what would be changed' }, json: JSON_OPTION },
  arguments: [2, 16],
  examples: [
    ['pk sriov set 0000:3b:10.1 vlan=100 max-rate=1000', 'in VLAN 100, at most 1 Gbit/s'],
    ['pk sriov set --dry-run 0000:3b:10.1 trust=on', 'what it is now, and would be'],
  ],
  async run(invocation) {
    const [address, ...settings] = invocation.positionals as [string, ...string[]];
    const dry = invocation.flag('dry-run');
    const change = await (await connect()).setFunctionNetwork(address, { settings, dry });
    return answer(invocation, change, (each) => text(each, dry));
  },
};

const text = ({ address, change }: NetworkChange, dry: boolean): string =>
  `${address}: ${change === '' ? 'it is so already' : `${change}${dry ? ' (not done: --dry-run)' : ''}`}\n`;
