/** The daemon's own files and environment, as a process of its own; and that no secret goes where it is not meant to be. */

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  globSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { hostProcesses } from '../support/host-processes.ts';
import { PK, Sandbox } from '../support/pk.ts';

const ROOT = join(import.meta.dirname, '../..');
const SECRET = 'hunter2-hunter2';
let sandbox: Sandbox;
beforeEach(async () => {
  const hostile = { SECRET, NODE_OPTIONS: '--no-warnings', LD_BIND_NOW: SECRET, APT_CONFIG: SECRET };
  sandbox = await Sandbox.create({ POLYKERNEL_FAKE: '1', ...hostile });
});
afterEach(() => sandbox[Symbol.asyncDispose]());

const run = (...options: string[]) => sandbox.ok('run', '-d', '--name', 'web', ...options, '--', 'sleep', '1000');
const environmentOf = (pid: number) => readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').filter(Boolean);

it('what a client has in its environment is in that of no process that comes of it', async () => {
  await run();
  await sandbox.ok('channel', 'create', 'orders', '--from', 'host', '--to', 'web', '--size', '64K');
  const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
  const all = [...new Set([pid, ...(await hostProcesses(sandbox.home))])];
  expect(all.length).toBeGreaterThan(1);
  for (const process of all) expect(environmentOf(process).join('\n')).not.toContain(SECRET);
  const names = environmentOf(pid).map((entry) => entry.slice(0, entry.indexOf('=')));
  const known = /^(PATH|LC_ALL|HOME|XDG_(STATE|CACHE)_HOME|NODE_COMPILE_CACHE|POLYKERNEL_\w+|\w+_proxy|\w+_PROXY)$/;
  expect(names.filter((name) => !known.test(name))).toEqual([]);
});

it('what the first client has open is open in no process that comes of it', async () => {
  const lock = join(sandbox.home, 'lock');
  writeFileSync(lock, '');
  const { status } = spawnSync('bash', ['-c', 'exec 30>"$1" 200>"$1"; "$0" ps', PK, lock], { env: sandbox.env });
  expect(status).toBe(0);
  await run();
  const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
  const open = [...new Set([pid, ...(await hostProcesses(sandbox.home))])].flatMap((process) =>
    readdirSync(`/proc/${process}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${process}/fd/${fd}`);
      } catch {
        return '';
      }
    }),
  );
  expect(open).not.toContain(lock);
});

it("a workload's environment is in the state alone: in no log, event, plan or command line", async () => {
  await run('-e', `TOKEN=${SECRET}`);
  const told = await Promise.all([
    sandbox.ok('ps', '-a', '--json'),
    sandbox.ok('logs', 'web'),
    sandbox.ok('logs', '--console', 'web'),
    sandbox.ok('doctor').catch(() => ''),
  ]);
  const files = globSync('**/*', { cwd: sandbox.home })
    .map((name) => join(sandbox.home, name))
    .filter((path) => lstatSync(path).isFile() && !/\/state\.db(-wal)?$/.test(path));
  expect(files.map((path) => path.slice(sandbox.home.length + 1))).toContain('daemon.log');
  const commands = (await hostProcesses(sandbox.home)).map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
  for (const text of [...told, ...commands, ...files.map((path) => readFileSync(path, 'latin1'))])
    expect(text).not.toContain(SECRET);
});

it('nobody else can read or write anything directly in the state directory', async () => {
  await run();
  const loose = ['', ...readdirSync(sandbox.home)].filter(
    (name) => (lstatSync(join(sandbox.home, name)).mode & 0o7077) !== 0,
  );
  expect(loose).toEqual([]);
  const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
  expect(readFileSync(`/proc/${pid}/status`, 'latin1')).toMatch(/^Umask:\s+0077$/m);
});

it.each(['daemon.log', 'state.db', 'telemetry.db', 'daemon.lock', 'instances'])(
  'a planted link %s is refused',
  async (name) => {
    const target = join(sandbox.home, 'target');
    symlinkSync(target, join(sandbox.home, name));
    const { code, stderr } = await sandbox.pk(['ps']);
    expect(code).toBe(125);
    expect(stderr).toMatch(/^pk: the state directory .* is a symbolic link\n {4}Run `rm .*` after a look/);
    expect(readdirSync(sandbox.home)).toEqual([name]);
  },
);

it.runIf(process.getuid?.() === 0)("nothing is sent to another user's socket", async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  const path = join(sandbox.home, 'daemon.sock');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  chownSync(path, 65534, 65534);
  try {
    const { code, stderr } = await sandbox.pk(['run', '-e', `TOKEN=${SECRET}`, '--', 'true']);
    expect({ code, connections }).toEqual({ code: 125, connections: 0 });
    expect(stderr).toContain(`${path} belongs to uid 65534`);
    expect(stderr).not.toContain(SECRET);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

it('a cache that others may write to is refused: what lies in it is run', async () => {
  const cache = join(sandbox.home, 'cache');
  mkdirSync(cache, { mode: 0o700 });
  // As the launcher wants it.
  mkdirSync(join(cache, 'images/names'), { recursive: true });
  mkdirSync(join(cache, 'native'), { mode: 0o777 });
  writeFileSync(join(cache, 'native/pk-init'), '', { mode: 0o755 });
  const mask = process.umask(0);
  mkdirSync(join(cache, 'compile'), { mode: 0o777 });
  process.umask(mask);
  const open = await new Sandbox(sandbox.home, { ...sandbox.env, POLYKERNEL_CACHE: cache }).pk(['ps']);
  expect(open.code).toBe(125);
  expect(open.stderr).toMatch(/the cache directory .* is not used: others may write to .*\/compile belongs to/);
});

it.runIf(process.getuid?.() === 0)("set-up touches no cache in another user's directory", () => {
  const theirs = join(sandbox.home, 'theirs');
  mkdirSync(theirs);
  chownSync(theirs, 65534, 65534);
  const { POLYKERNEL_CACHE: _, XDG_CACHE_HOME: __, ...env } = process.env;
  const ran = spawnSync('sh', [join(ROOT, 'scripts/setup.sh')], { env: { ...env, HOME: theirs }, encoding: 'utf8' });
  expect(ran.status).toBe(1);
  expect(ran.stderr).toMatch(
    /polykernel is not used for what is run: .*theirs \(owner .*, mode 755\).*POLYKERNEL_CACHE/,
  );
  expect(readdirSync(theirs)).toEqual([]);
});

it.each(['the cache itself', 'compile', 'setup.lock'])('set-up runs and writes nothing where others put %s', (what) => {
  const cache = join(sandbox.home, 'cache');
  const victim = join(sandbox.home, 'victim');
  writeFileSync(victim, 'kept');
  mkdirSync(cache, { mode: 0o700 });
  const mask = process.umask(0);
  if (what === 'the cache itself') chmodSync(cache, 0o1777);
  if (what === 'compile') mkdirSync(join(cache, what), { mode: 0o777 });
  else symlinkSync(victim, join(cache, 'setup.lock'));
  process.umask(mask);
  const env = { ...process.env, POLYKERNEL_CACHE: cache };
  const ran = spawnSync('sh', [join(ROOT, 'scripts/setup.sh'), '--quiet', '--skip-images'], { env, encoding: 'utf8' });
  expect(ran.status).toBe(1);
  expect(ran.stderr).toMatch(/^setup: .*cache is not used for what is run: .* is not ours alone: set POLYKERNEL_CACHE/);
  expect(readFileSync(victim, 'utf8')).toBe('kept');
  expect(globSync('compile/*', { cwd: cache })).toEqual([]);
});

it('every start of a process says which environment it gets', () => {
  // What `pk unshare` starts is the caller's own command, and so is the `pk` of the checkout that `pk daemon upgrade` hands on to.
  const sources = globSync('src/**/*.ts', { cwd: ROOT }).filter(
    (path) => !/\.test\.ts$|\/unshare\.ts$|\/daemon\/upgrade\.ts$/.test(path),
  );
  const silent = sources.filter((path) => {
    const text = readFileSync(join(ROOT, path), 'utf8');
    if (!text.includes('node:child_process')) return false;
    const starts = text.match(/\bspawn\(/g) ?? [];
    const given = text.match(/\benv: (\{\}|toolEnvironment\(|daemonEnvironment\(|launch\.env \?\? \{\})/g) ?? [];
    return starts.length !== given.length;
  });
  expect(silent).toEqual([]);
  const inherited = sources.filter((path) => /\.\.\.process\.env\b/.test(readFileSync(join(ROOT, path), 'utf8')));
  expect(inherited).toEqual([]);
});
