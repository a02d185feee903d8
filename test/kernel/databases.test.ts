/** A database as users run one: on a directory of the host that is its user's alone, detached, with a published port. */
import { execFileSync } from 'node:child_process';
import { chmodSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../src/sys/process.ts';
import { unpackedDirectory } from '../../src/sys/tools.ts';
import { freePort } from '../support/http.ts';
import { Sandbox } from '../support/pk.ts';

/** For a database to answer, also where its processor is emulated and the machine is busy. */
const PATIENCE_MS = 180_000;
/** Its own user where the system has one; else one of every Debian, which has nothing else to do. */
const USER = /^postgres:/m.test(readFileSync('/etc/passwd', 'utf8')) ? 'postgres' : 'backup';

/** Its programs, installed or unpacked by `npm run setup -- --tests`. */
interface Programs {
  directory: string;
  /** Separated by colons; none where they are the system's. */
  libraries: string;
  inGuest: { directory: string; libraries: string; volumes: string[] };
}

const POSTGRES = findPostgres();

function findPostgres(): Programs | undefined {
  const initdb = 'usr/lib/postgresql/*/bin/initdb';
  const [installed] = globSync(`/${initdb}`);
  if (installed !== undefined) {
    const programs = { directory: dirname(installed), libraries: '' };
    return { ...programs, inGuest: { ...programs, volumes: [] } };
  }
  // Root's cache is closed to a guest's users, what lies in it is open.
  const cwd = unpackedDirectory();
  const [unpacked] = globSync(initdb, { cwd });
  if (unpacked === undefined) return undefined;
  const libraries = globSync('{usr/,}lib/*-linux-gnu', { cwd });
  const below = (place: string) => ({
    directory: join(place, dirname(unpacked)),
    libraries: libraries.map((path) => join(place, path)).join(':'),
  });
  const volumes = globSync('{usr,lib}', { cwd }).flatMap((each) => ['-v', `${join(cwd, each)}:/unpacked/${each}:ro`]);
  return { ...below(cwd), inGuest: { ...below('/unpacked'), volumes } };
}

describe.runIf(process.getuid?.() === 0 && POSTGRES !== undefined)('PostgreSQL', () => {
  let sandbox: Sandbox;
  let base: string;
  /** A database's directory as initdb makes it. */
  let fresh: string;

  /** A program in a guest, and what it is run with. */
  const program = (name: string) => join(POSTGRES!.inGuest.directory, name);
  const withData = (data: string) => {
    const { volumes, libraries } = POSTGRES!.inGuest;
    return ['-u', USER, '-w', '/', ...volumes, '-e', `LD_LIBRARY_PATH=${libraries}`, '-v', `${data}:/data`];
  };

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    base = mkdtempSync(join(tmpdir(), 'pk-databases-'));
    chmodSync(base, 0o755);
    fresh = join(base, 'fresh');
    mkdirSync(fresh, { mode: 0o700 });
    execFileSync('chown', [USER, fresh]);
    // The time zone of Greenwich is in no file.
    const options = ['--driver', 'uml', ...withData(fresh), '-e', 'TZ=GMT'];
    const init = [program('initdb'), '-D', '/data', '-U', 'pk', '-A', 'trust', '--locale', 'C', '--no-sync'];
    expect(await sandbox.pk(['run', ...options, '--', ...init])).toMatchObject({ code: 0 });
    writeFileSync(join(fresh, 'pg_hba.conf'), 'host all all 10.213.0.0/16 trust\n');
  });
  afterAll(async () => {
    await sandbox?.[Symbol.asyncDispose]();
    if (base) rmSync(base, { recursive: true, force: true });
  });

  it.each(['uml', 'qemu'])(
    'keeps its rows over pk kill, and pgbench runs against its port, on %s',
    async (driver) => {
      const [name, data, port] = [`pg-${driver}`, join(base, driver), await freePort()];
      execFileSync('cp', ['-a', fresh, data]);
      const client = async (tool: string, ...args: string[]) => {
        const server = ['-h', '127.0.0.1', '-p', String(port), '-U', 'pk'];
        const env = { LD_LIBRARY_PATH: POSTGRES!.libraries || undefined, PGCONNECT_TIMEOUT: '5' };
        return await run([join(POSTGRES!.directory, tool), ...server, ...args, 'postgres'], {
          env,
          deadlineMs: PATIENCE_MS,
        });
      };
      const ask = async (sql: string) => (await client('psql', '-Atqc', sql)).stdout;
      const answers = () => expect.poll(() => ask('SELECT 1'), { timeout: PATIENCE_MS }).toBe('1\n');

      const published = ['--network', 'private', '-p', `127.0.0.1:${port}:5432`];
      const settings = ['unix_socket_directories=/tmp', 'listen_addresses=*', 'jit=off'].flatMap((each) => [
        '-c',
        each,
      ]);
      const options = ['--name', name, '--driver', driver, '--cpus', '1', ...published, ...withData(data)];
      await sandbox.ok('run', '-d', ...options, '--', program('postgres'), '-D', '/data', ...settings);
      await answers();
      const filled = await client('pgbench', '-i', '-s', '1', '-q');
      expect(filled, filled.stderr).toMatchObject({ code: 0 });
      const benched = await client('pgbench', '-c', '2', '-t', '50');
      expect(benched, benched.stderr).toMatchObject({ code: 0 });
      expect(benched.stdout).toContain('number of transactions actually processed: 100/100');
      const rows = 'SELECT count(*), sum(delta) FROM pgbench_history';
      const before = await ask(rows);
      expect(before).toMatch(/^100\|/);

      await sandbox.ok('kill', name);
      await sandbox.ok('start', name);
      await answers();
      expect(await ask(rows)).toBe(before);
      expect(await ask('SELECT count(*) FROM pgbench_accounts')).toBe('100000\n');
      // From its log of writes, as after a loss of power.
      expect((await sandbox.pk(['logs', name])).stderr + (await sandbox.ok('logs', name))).toContain(
        'was not properly shut down',
      );
      const uid = statSync(data).uid;
      expect(uid).not.toBe(0);
      const others = execFileSync('find', [data, '!', '-user', String(uid)], { encoding: 'utf8' });
      expect(others).toBe('');
      await sandbox.ok('rm', '-f', name);
    },
    480_000,
  );
});
