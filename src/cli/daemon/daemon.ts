/** The daemon as a child in the foreground, or one that is told to start and to end. */
import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endDaemon } from '../../client/end-daemon.ts';
import { connect } from '../../client/index.ts';
import { daemonEnvironment } from '../../sys/environment.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { DAEMON_FLAGS, nodeCommand } from '../../sys/node.ts';
import { cacheDirectory, home as defaultHome, layout, stoppedMark } from '../../sys/paths.ts';
import { CACHE, takePlace } from '../../sys/places.ts';
import type { Command, Invocation } from '../kit/command.ts';
import { answer } from '../kit/output.ts';

const VERBS = ['run', 'start', 'stop', 'status', 'upgrade', 'install', 'uninstall'] as const;

type Verb = (typeof VERBS)[number];

/** Options that some of them have. */
const OPTIONS_OF: Readonly<Record<string, readonly Verb[]>> = {
  home: ['run', 'start', 'stop', 'status', 'upgrade', 'install'],
  'reset-state': ['run'],
  from: ['upgrade'],
  user: ['install', 'uninstall'],
  print: ['install'],
  json: ['start', 'status', 'upgrade'],
};

export const command: Command = {
  summary: 'run the daemon (it is started by itself when needed)',
  usage: '[OPTION]... [run|start|stop|status|upgrade|install|uninstall]',
  description:
    'Without a word it runs in the foreground. Stopping it leaves all kernels running: the next daemon finds them again. upgrade has the daemon of another checkout take over at once, and the old one go on when that fails; install has systemd run it.',
  options: {
    home: { value: 'DIR', complete: 'file', help: 'state directory (default: POLYKERNEL_HOME)' },
    'reset-state': { help: 'run: put a corrupt state database aside and begin a new one' },
    from: { value: 'DIR', complete: 'file', help: 'upgrade: the checkout of the new version (default: this one)' },
    user: { help: "install, uninstall: by this user's systemd (default where this is not root)" },
    print: { help: 'install: show the unit, and do nothing' },
    json: { help: 'start, status, upgrade: machine-readable output' },
  },
  arguments: [0, 1],
  words: [...VERBS],
  examples: [
    ['pk daemon', 'in the foreground'],
    ['pk daemon stop', 'the kernels go on'],
    ['pk daemon upgrade --from ../polykernel-new', 'a new version, under all that runs'],
    ['pk daemon install', 'systemd runs it from now on'],
  ],
  async run(invocation) {
    const verb = verbOf(invocation);
    const home = invocation.value('home');
    const where = home === undefined ? {} : { home };
    switch (verb) {
      case 'run':
        return foreground(home, invocation.flag('reset-state'));
      case 'start':
      case 'status': {
        const version = await (await connect({ ...where, start: verb === 'start' })).version();
        return answer(
          invocation,
          version,
          ({ pid, startedAt, home }) => `running: pid ${pid}, since ${startedAt}, state in ${home}\n`,
        );
      }
      case 'stop':
        return stop(where);
      case 'upgrade':
        return (await import('./upgrade.ts')).upgrade(invocation);
      case 'install':
        return (await import('./manage.ts')).install(invocation, (home) => stop({ home }));
      case 'uninstall':
        return (await import('./manage.ts')).uninstall(invocation);
    }
  },
};

/** Throws `invalid` for an unknown one, or one that an option is not for: `upgrade --print` would upgrade. */
function verbOf(invocation: Invocation): Verb {
  const given = invocation.positionals[0] ?? 'run';
  const verb = VERBS.find((each) => each === given);
  const hint = 'See `pk daemon --help`.';
  if (verb === undefined)
    throw new PolykernelError('invalid', `${JSON.stringify(given)} is not one of ${VERBS.join(', ')}`, {
      ...{ value: given, hint },
    });
  for (const [option, verbs] of Object.entries(OPTIONS_OF))
    if (invocation.flag(option) && !verbs.includes(verb))
      throw new PolykernelError('invalid', `--${option} is not for ${verb}, but for ${verbs.join(', ')}`, {
        ...{ field: `--${option}`, hint },
      });
  return verb;
}

/** Waits until it is gone, so that a following start meets no leftover. */
async function stop(where: { home?: string }): Promise<number> {
  const client = await connect({ ...where, start: false }).catch((error: PolykernelError) => {
    if (error.code === 'unavailable') return undefined;
    throw error;
  });
  if (client === undefined) return 0;
  // Those who follow something learn so that no other one comes by itself.
  const mark = stoppedMark(client.socketPath);
  writeFileSync(mark, '', { mode: 0o600 });
  await endDaemon(client, layout(resolve(where.home ?? defaultHome()))).catch((error) => {
    rmSync(mark, { force: true });
    throw error;
  });
  return 0;
}

function foreground(home: string | undefined, reset: boolean): Promise<number> {
  const main = fileURLToPath(new URL('../../daemon/main.ts', import.meta.url));
  takePlace(cacheDirectory(), CACHE);
  const args = [...(home === undefined ? [] : ['--home', home]), ...(reset ? ['--reset-state'] : [])];
  const [node, ...rest] = nodeCommand(main, args, DAEMON_FLAGS);
  const child = spawn(node!, rest, { stdio: 'inherit', env: daemonEnvironment() });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => child.kill(name));
  return new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 125)));
}
