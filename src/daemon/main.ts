/**
 * Entry of the daemon, for nodeCommand(): [--home DIR] [--reset-state] [--ready-fd N] [--stand-by].
 * SIGTERM and SIGINT end it in order; kernels run on. With --ready-fd it says there, in a line of JSON, that it serves
 * or why it cannot. With --stand-by another daemon serves yet: this one is loaded, says whether it could take over, and starts
 * at the word `go` on its standard input, or ends with that.
 */
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { type Journal, openJournal } from '../core/journal.ts';
import { Store } from '../core/store.ts';
import { sweepLaunchGroups } from '../driver/jail/limits.ts';
import { loadDrivers } from '../driver/registry.ts';
import { ImageStore, prepareRoot } from '../image/contract.ts';
import { hostEnforcement } from '../pool/enforcement.ts';
import { functionLease, kerfLease, poolLease } from '../pool/pool-lease.ts';
import { hostSysfs } from '../sriov/sysfs-process.ts';
import { systemClock } from '../sys/clock.ts';
import { closeInherited } from '../sys/descriptors.ts';
import { asPolykernelError, ERROR_TABLE, type PolykernelError } from '../sys/errors.ts';
import { giveBackMemory } from '../sys/give-back.ts';
import { hostBootId } from '../sys/host-boot.ts';
import { hostFiles } from '../sys/host-files.ts';
import { compileInForeground, ownArguments } from '../sys/node.ts';
import { cacheDirectory, home as defaultHome, type Layout, layout } from '../sys/paths.ts';
import { CACHE, STATE, takePlace } from '../sys/places.ts';
import { sweepToolGroups } from '../sys/tool-groups.ts';
import { metricsAddress, samplesPerSecond } from '../telemetry/telemetry-options.ts';
import { readTopology } from '../topology/index.ts';
import { createDaemon } from './daemon.ts';
import { endLost, untilStateIsLost } from './lost-state.ts';
import { notifyManager } from './notify.ts';

/** Milliseconds after the start, in which there is more to do. */
const LOST_GROUPS_MS = 10_000;
const END_DEADLINE_MS = 10_000;

const { values } = parseArgs({
  args: ownArguments(),
  options: {
    home: { type: 'string' },
    'ready-fd': { type: 'string' },
    'reset-state': { type: 'boolean' },
    'stand-by': { type: 'boolean' },
  },
});
const home = values.home ?? defaultHome();
const readyFd = values['ready-fd'] === undefined ? undefined : Number(values['ready-fd']);
closeInherited(readyFd === undefined ? [] : [readyFd]);
// Until end(): while it starts and ends there may be nothing else that Node waits for, and it would end in the midst of that.
setInterval(() => {}, 2 ** 31 - 1);
const started = await start().catch((error) => fail(asPolykernelError(error, 'starting the daemon')));
say({ ready: true });
closeReady();
const notifier = notifyManager(process.env);
// Now, because a daemon may end without a word; loading from the cache takes 17 MiB less than compiling.
flushCompileCache();
giveBackMemory();
if (readyFd === undefined) process.stderr.write(`polykernel: serving ${started.socket} (pid ${process.pid})\n`);

async function start() {
  const paths = layout(home);
  // What is for others says so: kernels for jails, tools for the machine.
  process.umask(0o077);
  const drivers = await loadDrivers(process.env);
  if (values['stand-by']) await standBy(paths);
  takePlace(home, STATE);
  takePlace(cacheDirectory(), CACHE);
  await sweepToolGroups();
  sweepLaunchGroups();
  if (values['reset-state']) {
    const aside = Store.reset(paths, new Date());
    process.stderr.write(
      aside === undefined
        ? 'polykernel: there is no state to reset\n'
        : `polykernel: moved the old state to ${aside}\n`,
    );
  }
  const journal = openJournal(paths.daemonLog, systemClock);
  const images = new ImageStore();
  const daemon = await createDaemon({
    home,
    drivers,
    journal,
    version: packageVersion(),
    samplesPerSecond: samplesPerSecond(process.env),
    metricsAddress: metricsAddress(process.env),
    images,
    prepareRoot,
    host: {
      readTopology: () => readTopology('/'),
      bootId: hostBootId(),
      enforcement: hostEnforcement(hostFiles('/')),
      // Other users can only keep apart the CPUs of their own daemon's kernels.
      lease: poolLease(home, process.getuid?.() === 0 ? '/run/polykernel' : home),
    },
    // Nobody else may touch functions.
    ...(process.getuid?.() === 0 && {
      functions: { sysfs: hostSysfs('/sys'), ...functionLease(home, '/run/polykernel') },
      kerf: {
        host: async () => (await import('../driver/multikernel/host.ts')).thisHost(),
        cache: cacheDirectory(),
        lease: kerfLease(home, '/run/polykernel'),
      },
    }),
    async doctor() {
      const [{ hostChecks }, { observeHost }] = await Promise.all([
        import('../doctor/doctor.ts'),
        import('../doctor/host-facts.ts'),
      ]);
      return hostChecks(await observeHost({ home, images }));
    },
    onShutdown: () => end('a client asked for it'),
  });
  setTimeout(() => void removeLost(journal), LOST_GROUPS_MS).unref();
  void endWithState();
  journal.info('serving', { home, pid: process.pid, node: process.versions.node });

  let ending = false;
  async function endWithState(): Promise<void> {
    await untilStateIsLost(paths);
    if (ending) return;
    ending = true;
    process.stderr.write(`polykernel: ${home} was removed: its kernels and its daemon end\n`);
    notifier?.ending();
    setTimeout(() => process.exit(1), END_DEADLINE_MS).unref();
    await endLost(paths, daemon.supervisor, (name, error) => journal.error(`removing ${name}`, error));
    // Without the orderly end, which would remove the socket of another daemon that is there by now.
    process.exit(1);
  }
  function end(reason: string): void {
    if (ending) return;
    ending = true;
    compileInForeground();
    journal.info('ending', { reason });
    notifier?.ending();
    // Whatever hangs must not keep it: kernels need no farewell.
    setTimeout(() => process.exit(0), END_DEADLINE_MS).unref();
    daemon.close().then(
      () => {
        journal.close();
        process.exit(0);
      },
      (error) => {
        journal.error('ending', error);
        process.exit(1);
      },
    );
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(signal));
  process.on('SIGHUP', () => {});
  // A fault in one place must not take the daemon of all instances down; it is a bug all the same and is told.
  process.on('unhandledRejection', (error) => journal.error('unhandled rejection', error));
  process.on('uncaughtException', (error) => journal.error('uncaught exception', error));
  return daemon;
}

async function removeLost(journal: Journal): Promise<void> {
  const { removeLostGroups } = await import('../sys/lost-groups.ts');
  const removed = removeLostGroups(Date.now());
  if (removed.length > 0) journal.info('removed control groups that nobody knew', { count: removed.length });
}

/** Resolves when the other daemon is gone; ends this one when it is not to be. */
async function standBy(paths: Layout): Promise<void> {
  const { checkState } = await import('./stand-by.ts');
  checkState(paths);
  say({ standingBy: packageVersion() });
  const word = await new Promise<string>((resolve) => {
    process.stdin.once('data', (bytes) => resolve(String(bytes))).once('end', () => resolve(''));
  });
  if (word !== 'go\n') process.exit(0);
  process.stdin.destroy();
}

function packageVersion(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}

function say(answer: object): void {
  if (readyFd === undefined) return;
  try {
    writeSync(readyFd, `${JSON.stringify(answer)}\n`);
  } catch {
    // The client that started us is gone; others will come.
  }
}

function closeReady(): void {
  if (readyFd !== undefined) closeSync(readyFd);
}

function fail(error: PolykernelError): never {
  say({ error: error.toJSON() });
  process.stderr.write(`polykernel: ${error.message}\n${error.hint === undefined ? '' : `${error.hint}\n`}`);
  process.exit(ERROR_TABLE[error.code].exit);
}
