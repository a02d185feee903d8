/** This process as the terminal of another command in a guest. */
import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';
import { complain, Progress } from '../kit/output.ts';
import { forwardSignals, join, terminalSize } from '../kit/terminal.ts';
import { ENV_OPTIONS, explainEnd, givenEnvironment, isDeaf, readEnvFiles, userOption } from './guest-command.ts';
import { asOneOutput, isOneOutput, isUnknown } from './one-output.ts';

export const command: Command = {
  summary: 'run another command in an instance',
  usage: '[OPTION]... NAME [--] COMMAND [ARGUMENT]...',
  options: {
    interactive: { short: 'i', help: 'pass standard input' },
    tty: { short: 't', help: 'give it a terminal' },
    detach: { short: 'd', help: 'return once it runs: it goes on by itself, and what it says is lost' },
    ...ENV_OPTIONS,
    workdir: { short: 'w', value: 'DIR', help: 'working directory in the guest' },
    user: {
      short: 'u',
      value: 'USER[:GROUP]',
      help: "user in the guest, a number or a name of its own (default the workload's)",
    },
  },
  arguments: [2, Number.POSITIVE_INFINITY],
  commandFrom: 1,
  complete: 'instance',
  examples: [
    ['pk exec -it web sh', 'a shell beside the workload'],
    ['pk exec web cat /proc/loadavg', 'one command'],
  ],
  async run(invocation) {
    const [name, ...words] = invocation.positionals;
    const guestCommand = words[0] === '--' ? words.slice(1) : words;
    const detached = invocation.flag('detach');
    const tty = invocation.flag('tty') && !detached;
    const given = givenEnvironment(invocation, await readEnvFiles(invocation), process.env);
    const workdir = invocation.value('workdir');
    const client = await connect();
    const request = {
      command: guestCommand,
      env: { ...(tty ? { TERM: process.env.TERM ?? 'xterm' } : {}), ...given },
      ...(workdir === undefined ? {} : { cwd: workdir }),
      ...userOption(invocation.value('user')),
      tty,
      detached,
      ...(tty ? terminalSize() : {}),
    };
    const progress = new Progress();
    const streams = { waits: complain, revive: () => connect(), phase: (text: string) => progress.say(text) };
    const remote = await asOneOutput(!tty && !detached && isOneOutput(), async (wish) => {
      const remote = await client.exec(name!, { ...request, ...wish }, streams);
      if (!wish.merged) return remote;
      const undo = forwardSignals(remote, { tty: false });
      try {
        await remote.started;
      } catch (error) {
        // Why it never ran otherwise is for `exited` to tell.
        if (isUnknown(error)) throw error;
      } finally {
        undo();
      }
      return remote;
    });
    const clear = () => progress.clear();
    remote.started.then(clear, clear);
    const exit = await join(remote, {
      ...{ tty, stdin: invocation.flag('interactive') && !detached },
      isDeaf: (isNew) => isDeaf(client, name!, isNew),
    });
    explainEnd(exit);
    return exit.exitCode;
  },
};
