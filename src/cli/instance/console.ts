/** The keys of this terminal to the console of a kernel, until the key that lets go. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';
import { nextClient } from '../kit/next-daemon.ts';
import { complain } from '../kit/output.ts';
import { rawMode } from '../kit/signals.ts';

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
    const [name] = invocation.positionals as [string];
    let client = await connect();
    let console = await client.console(name);
    const terminal = process.stdin.isTTY === true;
    if (terminal) process.stderr.write('connected; Ctrl-] leaves\n');
    let restore = rawMode('terminal');
    try {
      const left = copyInput(() => console, terminal).then(() => undefined);
      for (;;) {
        try {
          await Promise.race([left, pipeline(console, process.stdout, { end: false })]);
          return 0;
        } catch (error) {
          const next = await Promise.race([left, nextClient(client, error)]);
          if (next === undefined) return 0;
          client = next;
          console = await client.console(name);
          restore();
          complain(`connected to another daemon: what the kernel said meanwhile is in pk logs --console ${name}`);
          restore = rawMode('terminal');
        }
      }
    } finally {
      restore();
    }
  },
};

/** Resolves when the detach key was typed. The end of an input that is no terminal leaves the output going. */
async function copyInput(console: () => Writable, terminal: boolean): Promise<void> {
  for await (const bytes of process.stdin as AsyncIterable<Buffer>) {
    const at = terminal ? bytes.indexOf(DETACH) : -1;
    const to = console();
    // What is typed into one that is cut off is lost, as the line is.
    if (!to.write(at === -1 ? bytes : bytes.subarray(0, at)) && !to.destroyed) await once(to, 'drain').catch(() => {});
    if (at !== -1) return;
  }
  await new Promise(() => {});
}
