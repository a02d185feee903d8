/** What processes get as their environment: a few variables that are known, never all of the caller's, which hold secrets. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from './paths.ts';
import { isTrusted } from './places.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const SYSTEM_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
/** Where the daemon finds its own places. */
const PLACES = ['HOME', 'XDG_STATE_HOME', 'XDG_CACHE_HOME'];
/** For the downloads of apt. */
const PROXIES = ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [
  name,
  name.toUpperCase(),
]);

/**
 * Of the daemon: its places, its own settings (POLYKERNEL_*), a search path, proxies. Nothing that Node or the C library acts
 * on: who starts the first command of the day must not choose what runs in everybody's daemon.
 */
export function daemonEnvironment(env: Environment = process.env): Record<string, string> {
  const own = Object.keys(env).filter((name) => name.startsWith('POLYKERNEL_'));
  return {
    ...toolEnvironment({}, { PATH: env.PATH?.split(':').filter(isOwn).join(':') }),
    ...chosen([...PLACES, ...PROXIES, ...own], env),
    // Also keeps the types stripped, which saves 17 MiB and a third of the start-up time.
    NODE_COMPILE_CACHE: join(cacheDirectory(env), 'compile'),
  };
}

/** Of a program that the daemon runs: a search path, English, and `more`. Without the proxies, which may hold a password. */
export function toolEnvironment(more: Environment = {}, env: Environment = process.env): Record<string, string> {
  return { PATH: searchPath(env.PATH), LC_ALL: 'C.UTF-8', ...chosen(Object.keys(more), more) };
}

/** Of a program that downloads. */
export function proxyEnvironment(env: Environment = process.env): Record<string, string> {
  return chosen(PROXIES, env);
}

/** Programs are run from there, as root too: nobody else may be able to put one there. */
function isOwn(directory: string): boolean {
  try {
    const { uid, mode } = statSync(directory);
    return isTrusted(uid) && (mode & 0o022) === 0;
  } catch {
    // Not there, or not for this user to see.
    return false;
  }
}

/** Relative directories would mean another place in the daemon, whose working directory is `/`. */
function searchPath(path = ''): string {
  const own = path.split(':').filter((directory) => directory.startsWith('/'));
  return [...new Set([...own, ...SYSTEM_PATH])].join(':');
}

function chosen(names: readonly string[], env: Environment): Record<string, string> {
  const given = names.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(given);
}
