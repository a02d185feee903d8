import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { PolykernelError } from '../../sys/errors.ts';
import { identityOptions, userIdentity } from '../../sys/identity.ts';
import { nativeBinary } from '../../sys/paths.ts';
import type { Command } from '../kit/command.ts';

export const command: Command = {
  summary: 'run a command as the owner of what your kernels wrote',
  usage: '[--] [COMMAND [ARG]...]',
  description:
    'Files that users of a kernel other than its root leave in a volume belong to ids of yours (/etc/subuid) that you can neither change nor remove. In here you are root over them. Without a command: your shell. Root does not need it.',
  options: {},
  arguments: [0, Number.POSITIVE_INFINITY],
  commandFrom: 0,
  examples: [
    ['pk unshare rm -r ./data', 'remove a volume whatever its owners'],
    ['pk unshare chown -R 0:0 ./data', 'make all of it yours'],
  ],
  async run({ positionals }) {
    const [program = process.env.SHELL || '/bin/sh', ...rest] = positionals;
    const identity = process.getuid?.() === 0 ? undefined : await userIdentity();
    if (identity?.kind === 'single') {
      throw new PolykernelError('unavailable', 'this user has no ids besides its own, so no kernel gave any away', {
        hint: 'Get some, as root: apt-get install uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER',
      });
    }
    // As env(1) finds a program: pk-cell takes a path.
    const argv = ['/usr/bin/env', '--', program, ...rest];
    const [first, ...others] =
      identity === undefined ? argv : [nativeBinary('pk-cell'), ...identityOptions(identity), '--', ...argv];
    return await new Promise((resolve, reject) => {
      const child = spawn(first!, others, { stdio: 'inherit' });
      // Ctrl-C is the command's.
      for (const signal of ['SIGINT', 'SIGQUIT', 'SIGTERM'] as const) process.on(signal, () => {});
      child.on('error', reject);
      child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  },
};
