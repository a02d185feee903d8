/**
 * What a run of the tests leaves on a machine: `leaks.ts note FILE` before it, `leaks.ts compare FILE` behind it. Sees the
 * namespaces it runs in, so that in some of their own (see .ci/run) nothing of others is taken for the tests'.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

/** By kind what there is, each thing as a line for people. */
export type Things = Record<string, string[]>;

/** What ends by itself may take so long: a daemon that was told to end, a connection that closes. */
const PATIENCE_MS = 15_000;
const LOOK_MS = 200;
/** Connections that are over: the kernel keeps their addresses for a minute. */
const TIME_WAIT = '06';
const OURS = /polykernel|^pk[-.]/;
/** Work files of caches; what is finished there is meant to stay. */
const UNFINISHED = /\.(partial|tmp|new)$|^work-|\.\d+\.tmp$/;
/** npm, tsc and vitest keep compiled code there for the next time. */
const OF_TOOLS = /\/node-compile-cache(\/|$)/;
/** The directory where daemons of root meet stays; what would be in it counts. */
const MEETING = '/run/polykernel';
const MOST_SHOWN = 20;

/** Everything there is now, without this process and those it was started by. */
export function look(directories: readonly string[], caches: readonly string[] = []): Things {
  return {
    process: processes(),
    mount: lines('/proc/self/mountinfo').map((line) => line.split(' ').slice(3, 5).join(' on ')),
    'unix socket': lines('/proc/net/unix')
      .slice(1)
      .map((line) => line.split(/\s+/).slice(4).join(' ')),
    'inet socket': ['tcp', 'tcp6', 'udp', 'udp6', 'raw'].flatMap(inetSockets),
    'packet socket': lines('/proc/net/packet').slice(1),
    'netlink socket': lines('/proc/net/netlink')
      .slice(1)
      .map((line) => line.trim().split(/\s+/).slice(1, 3).join(' port '))
      .filter((line) => !line.endsWith(' port 0')),
    interface: lines('/proc/net/dev')
      .slice(2)
      .map((line) => line.split(':')[0]!.trim()),
    'network namespace': names('/run/netns'),
    'packet filter': filters(),
    forwarding: [`net.ipv4.ip_forward=${lines('/proc/sys/net/ipv4/ip_forward')[0]}`],
    'control group': below('/sys/fs/cgroup', { depth: 4, directoriesOnly: true }).filter((path) =>
      path.split('/').some((part) => OURS.test(part)),
    ),
    'System V object': ['shm', 'sem', 'msg'].flatMap((kind) =>
      lines(`/proc/sysvipc/${kind}`)
        .slice(1)
        .map((line) => `${kind} ${line.trim().split(/\s+/)[1]}`),
    ),
    'loop device': names('/sys/block').flatMap((name) =>
      lines(`/sys/block/${name}/loop/backing_file`).map((file) => `${name} ${file}`),
    ),
    file: directories
      .flatMap((path) => below(path, { depth: 3 }))
      .filter((path) => !OF_TOOLS.test(path) && path !== MEETING),
    'work file': caches
      .flatMap((path) => below(path, { depth: 3 }))
      .filter((path) => UNFINISHED.test(path.split('/').at(-1)!)),
  };
}

/** What is there now and was not before, as lines of kind and thing. */
export function added(before: Things, now: Things): string[] {
  return Object.entries(now).flatMap(([kind, things]) => {
    const left = new Map<string, number>();
    for (const thing of before[kind] ?? []) left.set(thing, (left.get(thing) ?? 0) + 1);
    return things.flatMap((thing) => {
      const count = left.get(thing) ?? 0;
      left.set(thing, count - 1);
      return count > 0 ? [] : [`${kind}: ${thing}`];
    });
  });
}

function processes(): string[] {
  const parents = new Map<number, number>();
  const found = new Map<number, string>();
  for (const name of names('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = lines(`/proc/${name}/stat`)[0] ?? '';
    const [, state, parent] = /\) (\S) (\d+)/.exec(stat) ?? [];
    // A kernel thread has no program; a zombie waits for its parent, which is what counts.
    if (parent === undefined || state === 'Z' || state === 'X' || !hasProgram(name)) continue;
    parents.set(Number(name), Number(parent));
    const command = (lines(`/proc/${name}/cmdline`)[0] ?? '').split('\0').join(' ').trim();
    found.set(Number(name), `${name} ${command.slice(0, 200)}`);
  }
  for (let own: number | undefined = process.pid; own !== undefined; own = parents.get(own)) found.delete(own);
  return [...found.values()];
}

function hasProgram(pid: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) !== '';
  } catch {
    return false;
  }
}

function inetSockets(kind: string): string[] {
  return lines(`/proc/net/${kind}`)
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words[3] !== TIME_WAIT)
    .map((words) => `${kind} ${words[1]} to ${words[2]}`);
}

function filters(): string[] {
  try {
    return execFileSync('nft', ['list', 'tables'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .split('\n')
      .filter(Boolean);
  } catch {
    return []; // no right to see any, or no such program: then none was made either
  }
}

/** Paths below a directory, so many levels down; links are not followed. */
function below(
  path: string,
  { depth, directoriesOnly = false }: { depth: number; directoriesOnly?: boolean },
): string[] {
  if (depth === 0) return [];
  let entries: import('node:fs').Dirent[];
  try {
    entries = readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    const at = join(path, entry.name);
    const further = entry.isDirectory() ? below(at, { depth: depth - 1, directoriesOnly }) : [];
    return directoriesOnly && !entry.isDirectory() ? further : [at, ...further];
  });
}

function names(path: string): string[] {
  return existsSync(path) ? readdirSync(path) : [];
}

function lines(path: string): string[] {
  try {
    return readFileSync(path, 'latin1').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}

function everywhere(): Things {
  const { POLYKERNEL_HOME: home, POLYKERNEL_CACHE, XDG_CACHE_HOME, XDG_STATE_HOME, HOME = '/' } = process.env;
  const cache = POLYKERNEL_CACHE ?? join(XDG_CACHE_HOME ?? join(HOME, '.cache'), 'polykernel');
  const state = join(XDG_STATE_HOME ?? join(HOME, '.local/state'), 'polykernel');
  return look(
    [...new Set([tmpdir(), '/tmp', '/var/tmp', '/dev/shm', '/dev/mqueue', '/run', state, ...(home ? [home] : [])])],
    [cache],
  );
}

async function main(command: string | undefined, file: string | undefined): Promise<void> {
  if (file !== undefined && command === 'note') return writeFileSync(file, JSON.stringify(everywhere()));
  if (file === undefined || command !== 'compare') {
    console.error('usage: leaks.ts note FILE | compare FILE');
    process.exit(2);
  }
  const before = JSON.parse(readFileSync(file, 'utf8')) as Things;
  const deadline = performance.now() + PATIENCE_MS;
  let left = added(before, everywhere());
  while (left.length > 0 && performance.now() < deadline) {
    await pause(LOOK_MS);
    left = added(before, everywhere());
  }
  if (left.length === 0) return console.log('leaks: none');
  for (const line of left.slice(0, MOST_SHOWN)) console.log(`leaks: ${line}`);
  if (left.length > MOST_SHOWN) console.log(`leaks: and ${left.length - MOST_SHOWN} more`);
  process.exitCode = 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv[2], process.argv[3]);
