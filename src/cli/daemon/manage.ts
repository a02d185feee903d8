/** `pk daemon install` and `uninstall`, and a new version where systemd runs the daemon. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { daemonProcess } from '../../client/daemon-process.ts';
import { connect } from '../../client/index.ts';
import { checkSuccession } from '../../client/succeed.ts';
import { runCommand } from '../../sys/command.ts';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import { home as defaultHome, type Layout, layout } from '../../sys/paths.ts';
import type { Invocation } from '../kit/command.ts';
import { print } from '../kit/output.ts';
import { MARK, type Manager, secretsOf, UNIT, unitPath, unitText } from './unit.ts';

const BY_HAND = 'Write the unit by yourself: pk daemon install --print';

const managerOf = (invocation: Invocation): Manager =>
  invocation.flag('user') || process.getuid?.() !== 0 ? 'user' : 'system';

/** `stop`: ends the daemon that runs by itself, so that the manager's can have the state. */
export async function install(invocation: Invocation, stop: (home: string) => Promise<unknown>): Promise<number> {
  const home = resolve(invocation.value('home') ?? defaultHome());
  const manager = managerOf(invocation);
  const text = unitText(home, manager);
  if (invocation.flag('print')) {
    await print(text);
    return 0;
  }
  const path = unitPath(manager);
  await systemctl(manager, 'show', '--property=Version');
  writeUnit(path, text);
  await systemctl(manager, 'daemon-reload');
  await systemctl(manager, 'enable', UNIT);
  if (await runsByItself(home, manager)) await stop(home);
  await systemctl(manager, 'start', UNIT);
  await print(`${path}: enabled and started; the state is in ${home}\n`);
  const secrets = secretsOf();
  if (secrets.length > 0)
    await print(
      `Not in it, as everybody may read it: ${secrets.join(', ')}. See EnvironmentFile= in systemd.exec(5).\n`,
    );
  if (manager === 'user') await print('To have it run while you are not logged in: loginctl enable-linger\n');
  return 0;
}

/** Kernels run on; the next `pk` starts a daemon by itself. */
export async function uninstall(invocation: Invocation): Promise<number> {
  const manager = managerOf(invocation);
  const path = unitPath(manager);
  if (!existsSync(path))
    throw new PolykernelError('not-found', `there is no ${path}`, { hint: 'Nothing is to be removed.' });
  checkOurs(path);
  await systemctl(manager, 'disable', '--now', UNIT);
  rmSync(path);
  await systemctl(manager, 'daemon-reload');
  await print(`${path} is removed; kernels run on\n`);
  return 0;
}

/**
 * Has the manager run this version instead of the one that it runs, with the old unit again when that does not come to serve.
 * Rejects as checkSuccession() does, before it changes anything.
 */
export async function restartAnew(manager: Manager, paths: Layout, say: (text: string) => void): Promise<void> {
  const path = unitPath(manager);
  checkOurs(path);
  say('loading the new version and looking at the state');
  await checkSuccession(paths);
  const before = readFileSync(path, 'utf8');
  const restart = async (text: string) => {
    writeUnit(path, text);
    await systemctl(manager, 'daemon-reload');
    await systemctl(manager, 'restart', UNIT);
  };
  try {
    say(`restarting ${UNIT}`);
    await restart(unitText(paths.home, manager));
  } catch (cause) {
    const outcome = await restart(before).then(
      () => 'the old version serves again',
      (failure) => `and the old version could not be started again: ${failure.message}`,
    );
    const error = asPolykernelError(cause, `restarting ${UNIT}`);
    throw new PolykernelError(error.code, `the new daemon did not come to serve: ${error.message}; ${outcome}`, {
      hint: `See journalctl -u ${UNIT} and ${paths.daemonLog}.`,
      cause: error,
    });
  }
}

function writeUnit(path: string, text: string): void {
  try {
    if (existsSync(path)) checkOurs(path);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text, { mode: 0o644 });
  } catch (error) {
    throw asPolykernelError(error, `writing ${path}`);
  }
}

function checkOurs(path: string): void {
  if (existsSync(path) && readFileSync(path, 'utf8').startsWith(MARK)) return;
  throw new PolykernelError('conflict', `${path} is not of \`pk daemon install\``, {
    value: path,
    hint: 'Move it aside, or change it by yourself: pk daemon install --print',
  });
}

async function runsByItself(home: string, manager: Manager): Promise<boolean> {
  const { managed } = await import('./unit.ts');
  const client = await connect({ home, start: false }).catch(() => undefined);
  if (client === undefined) return false;
  const process = daemonProcess((await client.version()).pid, layout(home));
  return process === undefined || managed(process.pid) !== manager;
}

async function systemctl(manager: Manager, ...args: string[]): Promise<void> {
  try {
    const own = manager === 'user' ? ['--user', ...args] : args;
    // Where a user's manager is reached.
    const { XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS } = process.env;
    await runCommand(['systemctl', ...own], { env: { XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS } });
  } catch (error) {
    const { message } = asPolykernelError(error, 'asking systemd');
    throw new PolykernelError('unavailable', message, { hint: BY_HAND, cause: error });
  }
}
