/** A Debian with its own npm and nothing else, made by debootstrap and kept in the cache: what fresh systems are copies of. */
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { proxyEnvironment } from '../../src/sys/environment.ts';
import { cacheDirectory } from '../../src/sys/paths.ts';
import type { Ways } from './host.ts';
import { type Inside, type Log, programRuns } from './inside.ts';
import type { System } from './systems.ts';

export const keptDirectory = (): string => join(cacheDirectory(), 'fresh-systems');
const AUTHORITIES = '/etc/ssl/certs/host.crt';

/** The directory with the system, made when the cache has none. Throws `internal` with what the tool said. */
export async function baseOf(system: System, ways: Ways, log: Log, signal: AbortSignal): Promise<string> {
  const base = join(keptDirectory(), system.name);
  if (existsSync(base)) return base;
  const debs = join(keptDirectory(), `${system.name}.debs`);
  await mkdir(debs, { recursive: true, mode: 0o700 });
  const making = `${base}.new`;
  await rm(making, { recursive: true, force: true });
  // --include cannot take npm: debootstrap does not find an order in which to configure what it depends on.
  const options = ['--variant=minbase', `--cache-dir=${debs}`];
  const argv = ['debootstrap', ...options, system.suite, making, ways.mirror];
  await programRuns(argv, { ...proxyEnvironment(), PATH: process.env.PATH }, log, signal);
  await configure(making, ways);
  const install = 'apt-get -q update && apt-get -qy install --no-install-recommends npm && apt-get clean';
  const forget = system.lists ? 'true' : 'rm -r /var/lib/apt/lists/*';
  await programRuns(argvInside(making, system.name, ['sh', '-c', `${install} && ${forget}`]), ROOT, log, signal);
  await rename(making, base);
  return base;
}

/** The machine's name servers, proxies and authorities. */
export async function configure(root: string, ways: Ways): Promise<void> {
  for (const file of ['etc/resolv.conf', 'etc/hosts'])
    await cp(join('/', file), join(root, file), { dereference: true });
  await writeFile(join(root, 'etc/apt/apt.conf.d/90host'), `${ways.apt}\n`);
  if (ways.authorities === null) return;
  await mkdir(join(root, 'etc/ssl/certs'), { recursive: true });
  await cp(ways.authorities, join(root, AUTHORITIES), { dereference: true });
}

const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const ROOT = { HOME: '/root', PATH: SYSTEM_PATH, LANG: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' };

/** The environment that somebody has after logging in, and what npm needs on this machine. */
export function environmentOf(home: string, ways: Ways): Record<string, string> {
  const authorities: Record<string, string> =
    ways.authorities === null ? {} : { npm_config_cafile: AUTHORITIES, NODE_EXTRA_CA_CERTS: AUTHORITIES };
  return {
    ...{ HOME: home, PATH: SYSTEM_PATH, LANG: 'C.UTF-8', NO_COLOR: '1' },
    ...{ npm_config_registry: ways.registry, npm_config_update_notifier: 'false' },
    ...authorities,
    ...proxyEnvironment(),
  };
}

/** The command line of `command` in the system that lies at `root`. */
export function argvInside(root: string, name: string, command: Inside): string[] {
  const namespaces = ['--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child'];
  return ['unshare', ...namespaces, 'sh', join(import.meta.dirname, 'enter.sh'), root, name, ...command];
}

/** Everything kept but what is being made. */
export async function forget(): Promise<void> {
  for (const name of await readdir(keptDirectory()).catch(() => []))
    await rm(join(keptDirectory(), name), { recursive: true, force: true });
}
