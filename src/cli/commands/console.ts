import { connect } from '../../client/index.ts';
import type { Command } from '../command.ts';

const DETACH = 0x1d;

export const command: Command = {
  summary: "connect to an instance's kernel console",
  usage: 'NAME',
  description: 'Shows what the kernel says from now on and sends what is typed. Ctrl-] lets go; the instance goes on.',
  options: {},
  arguments: [1, 1],
  complete: 'instance',
  examples: [['pk console web', 'watch the kernel; Ctrl-] leaves']],
  async run(invocation) {
    const client = await connect();
    const console = await client.console(invocation.positionals[0]!);
    const terminal = process.stdin.isTTY === true;
    if (terminal) {
      process.stderr.write('connected; Ctrl-] leaves\n');
      process.stdin.setRawMode(true);
      process.once('exit', () => process.stdin.setRawMode(false));
    }
    return new Promise((resolve, reject) => {
      process.stdin.on('data', (bytes: Buffer) => {
        const at = terminal ? bytes.indexOf(DETACH) : -1;
        console.write(at === -1 ? bytes : bytes.subarray(0, at));
        if (at !== -1) resolve(0);
      });
      console.on('data', (bytes: Buffer) => process.stdout.write(bytes));
      console.on('error', reject);
      console.on('close', () => resolve(0));
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => resolve(0));
    });
  },
};
