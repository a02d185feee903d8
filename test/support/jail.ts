/** The jail of a VMM with a shell in its place, for tests that try its walls. Real pk-cell, bwrap and pk-jail. */
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { hostCovers } from '../../src/driver/jail/host.ts';
import { type JailSpec, jailArgv } from '../../src/driver/jail/jail.ts';
import type { Identity } from '../../src/sys/identity.ts';
import { run, which } from '../../src/sys/process.ts';
import { TEST_RANGE } from './identity.ts';
import { nativeProgram } from './native.ts';
import { asUser, SUBIDS, USER } from './other-user.ts';

export const busybox = which('busybox');
/** Whether this machine can: only root can be everybody. */
export const jailsRun = process.getuid?.() === 0 && busybox !== undefined;
const mappers = ['newuidmap', 'newgidmap'].map((name) => which(name));
interface Caller {
  caller: string;
  identity: Identity;
  outside: number;
  files: boolean;
  isUser: boolean;
}

/** For each kind of identity: as root, as a user with subordinate ids, as a user without. */
export const callers: Caller[] = [
  { caller: 'root', identity: TEST_RANGE, outside: TEST_RANGE.start, files: true, isUser: false },
  {
    caller: 'a user with subordinate ids',
    identity: { kind: 'subids', uids: SUBIDS, gids: SUBIDS, newuidmap: mappers[0]!, newgidmap: mappers[1]! },
    outside: USER,
    files: true,
    isUser: true,
  },
  { caller: 'a user without', identity: { kind: 'single' }, outside: USER, files: false, isUser: true },
];

const scratch = mkdtempSync(join(tmpdir(), 'pk-probe-'));
chmodSync(scratch, 0o755);
afterAll(() => rmSync(scratch, { recursive: true }));
let built: Promise<string> | undefined;
/** test/fixtures/probe.c, compiled. */
export function probe(): Promise<string> {
  built ??= (async () => {
    const program = join(scratch, 'probe');
    const source = join(import.meta.dirname, '../fixtures/probe.c');
    expect(await run(['musl-gcc', '-static', '-o', program, source])).toMatchObject({ code: 0, stderr: '' });
    return program;
  })();
  return built;
}

export interface Jail {
  /** The directory of everything below. */
  base: string;
  /** A directory that the jail covers, with a secret in it. */
  hidden: string;
  /** Shown to be written at /a and to be read at /b. */
  volume: string;
  /** Listens on the socket `sock` of the base. */
  server: Server;
  /** test/fixtures/connect.c, compiled. */
  connector: string;
  /** The command line that runs `script` in the jail. */
  insideArgv(script: string, change: Partial<JailSpec>): string[];
  inside(script: string, change?: Partial<JailSpec>): ReturnType<typeof run>;
  /** Output of a script in which `$B` runs a busybox applet. */
  said(script: string, change?: Partial<JailSpec>): Promise<string>;
  close(): void;
}

/** What a jail of this caller's needs. */
export async function openJail({ identity, isUser }: Caller): Promise<Jail> {
  // A name that would break any quoting.
  const base = mkdtempSync(join(tmpdir(), "pk jail '$(x) "));
  chmodSync(base, 0o755);
  const pkJail = join(base, 'pk-jail');
  copyFileSync(await nativeProgram('pk-jail'), pkJail);
  const pkCell = join(base, 'pk-cell');
  copyFileSync(await nativeProgram('pk-cell'), pkCell);
  const connector = join(base, 'connect');
  const source = join(import.meta.dirname, '../fixtures/connect.c');
  expect(await run(['musl-gcc', '-static', '-o', connector, source])).toMatchObject({ code: 0, stderr: '' });
  const hidden = join(base, 'hidden');
  mkdirSync(hidden);
  writeFileSync(join(hidden, 'secret'), 'secret');
  const volume = join(base, 'volume');
  mkdirSync(volume);
  if (isUser) chownSync(volume, USER, USER);
  mkdirSync(join(base, 'etc'));
  mkdirSync(join(base, 'run dir'));
  chownSync(join(base, 'run dir'), isUser ? USER : 0, isUser ? USER : 0);
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(join(base, 'sock'), resolve));
  chmodSync(join(base, 'sock'), 0o777);

  const covers = await hostCovers([hidden]);
  function insideArgv(script: string, change: Partial<JailSpec>): string[] {
    const argv = jailArgv({
      identity,
      bwrap: which('bwrap')!,
      pkCell,
      pkJail,
      filter: 'qemu',
      noRandomize: false,
      // A shell is in the VMM's place.
      mayFork: true,
      mayReadProc: true,
      hostCpus: undefined,
      memoryNodes: undefined,
      joinFds: [],
      binds: [{ source: busybox!, target: '/vmm/busybox', access: 'read' }],
      root: { kind: 'host', mapped: true },
      volumes: [
        { source: volume, target: '/a', readOnly: false },
        { source: volume, target: '/b', readOnly: true },
      ],
      // An ordinary user's own list holds nothing that the user cannot reach.
      covers: covers.filter(({ path }) => !isUser || !path.startsWith('/root/')),
      uncovered: [{ path: base }],
      memoryFiles: [{ target: '/dev/shm', bytes: 1 << 20, inodes: 16, mode: '1777' }],
      directory: join(base, 'run dir'),
      program: ['/vmm/busybox', 'sh', '-c', script],
      ...change,
    });
    const prefix = isUser ? asUser(true, join(base, 'etc')) : [];
    return [...prefix, ...argv];
  }
  const inside = async (script: string, change: Partial<JailSpec> = {}) =>
    await run(insideArgv(script, change), { deadlineMs: 20_000 });
  /** Output of a script in which `$B` runs a busybox applet. */
  async function said(script: string, change?: Partial<JailSpec>): Promise<string> {
    const { stdout, stderr } = await inside(`B=/vmm/busybox; R=/export/root; ${script}`, change);
    return stdout + stderr;
  }
  const close = () => {
    server.close();
    rmSync(base, { recursive: true });
  };
  return { base, hidden, volume, server, connector, insideArgv, inside, said, close };
}
