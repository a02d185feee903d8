/**
 * What one kernel can take of the host: by guest root, and by code in place of the VMM. Seen from outside, in the control
 * groups and in /proc.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Kernel, KernelLimits, LaunchSpec } from '../../../src/driver/index.ts';
import { type JailSpec, jailArgv } from '../../../src/driver/jail/jail.ts';
import { applyLimits, realLimits, removeLimits } from '../../../src/driver/jail/limits.ts';
import { QemuDriver } from '../../../src/driver/qemu/driver.ts';
import { explainExit } from '../../../src/driver/shim/kernel.ts';
import { launchThreads } from '../../../src/driver/shim/launch-threads.ts';
import { awaitProgramExit, killShim, launchShim, readConsoleTail } from '../../../src/driver/shim/shim.ts';
import { UmlDriver } from '../../../src/driver/uml/driver.ts';
import { ImageStore } from '../../../src/image/contract.ts';
import { limitMechanism } from '../../../src/sys/limit-groups.ts';
import { run } from '../../../src/sys/process.ts';
import { toolPath } from '../../../src/sys/tools.ts';
import { collect } from '../../support/collect.ts';
import { testIdentity } from '../../support/identity.ts';
import { launchSpec } from '../../support/launch-spec.ts';
import { nativeProgram } from '../../support/native.ts';
import { until } from '../../support/pk.ts';

const MIB = 2 ** 20;
/** Of nobody else: the limit on processes of a user counts all of them. */
const NOBODY = { uid: 64_321, gid: 64_321 };
const isRoot = process.getuid?.() === 0;
const hasGroups = limitMechanism().groups.length === 2;
const SMALL: KernelLimits = {
  processes: 50,
  memoryBytes: 48 * MIB,
  overheadBytes: 32 * MIB,
  openFiles: 100,
  dataBytes: 40 * MIB,
};

let base: string;
let root: string;
let pkJail: string;
let pkCell: string;
const live: Kernel[] = [];

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'pk-limits-'));
  chmodSync(base, 0o755);
  root = join(base, 'root');
  for (const name of ['', 'proc', 'sys', 'dev', 'tmp', 'etc']) mkdirSync(join(root, name));
  const source = join(import.meta.dirname, '../../fixtures/greedy.c');
  const compiled = await run(['musl-gcc', '-static', '-Os', '-Wall', '-Wextra', '-o', join(root, 'greedy'), source]);
  expect(compiled).toMatchObject({ code: 0, stderr: '' });
  pkJail = join(base, 'pk-jail');
  copyFileSync(await nativeProgram('pk-jail'), pkJail);
  pkCell = join(base, 'pk-cell');
  copyFileSync(await nativeProgram('pk-cell'), pkCell);
  await nativeProgram('pk-shim');
});
afterEach(async () => {
  await Promise.all(live.splice(0).map((kernel) => kernel.kill()));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

const launchDirectory = () => mkdtempSync(join(base, 'launch-'));
const groupPaths = (directory: string): string[] =>
  JSON.parse(readFileSync(join(directory, 'limits.json'), 'utf8')).groups.map(({ path }: { path: string }) => path);
const current = (paths: readonly string[], file: string): number =>
  Number(readFileSync(`${paths.find((path) => existsSync(`${path}/${file}`))}/${file}`, 'utf8'));
const memoryPeak = (paths: readonly string[]): number =>
  Math.max(
    ...paths.flatMap((path) =>
      ['memory.max_usage_in_bytes', 'memory.peak', 'memory.current']
        .filter((file) => existsSync(`${path}/${file}`))
        .map((file) => Number(readFileSync(`${path}/${file}`, 'utf8'))),
    ),
  );
/** Processes of a launch, from /proc: without the shim. */
const processesOf = (directory: string): number => new Set(launchThreads(directory).map(({ pid }) => pid)).size - 1;

describe('code in place of the VMM', () => {
  function jail(kind: string, change: Partial<JailSpec>): string[] {
    return jailArgv({
      identity: testIdentity,
      bwrap: toolPath('bwrap').path,
      pkCell,
      pkJail,
      filter: 'uml',
      noRandomize: false,
      mayFork: true,
      hostCpus: undefined,
      memoryNodes: undefined,
      joinFds: [],
      binds: [{ source: join(root, 'greedy'), target: '/vmm/greedy', access: 'read' }],
      root: { kind: 'directory', path: root },
      volumes: [],
      covers: [],
      memoryFiles: [{ target: '/dev/shm', bytes: MIB, inodes: 16, mode: '1777' }],
      directory: base,
      program: ['/vmm/greedy', ...kind.split(' ')],
      ...change,
    });
  }

  async function launch(
    kind: string,
    id = randomBytes(16).toString('hex'),
  ): Promise<{ directory: string; groups: string[] }> {
    const directory = launchDirectory();
    const { joins, rlimits } = applyLimits({ id, directory }, SMALL, false);
    // The groups alone must hold it.
    const { nofile } = rlimits;
    await launchShim({ directory, argv: jail(kind, { directory, rlimits: { nofile: nofile! } }), joins });
    return { directory, groups: groupPaths(directory) };
  }

  it.runIf(isRoot && hasGroups)('makes no more processes than its group allows, in all of its jail', async () => {
    const { directory, groups } = await launch('fork wait');
    const said = await until('it is refused', async () =>
      /forked (\d+) (.*)/.exec(await readConsoleTail(directory, 4096)),
    );
    expect(said[2]).toBe('Resource temporarily unavailable');
    expect(Number(said[1])).toBeGreaterThan(20);
    expect(processesOf(directory)).toBeLessThanOrEqual(SMALL.processes);
    expect(current(groups, 'pids.current')).toBe(SMALL.processes);
    // bubblewrap's two are inside as well.
    expect(Number(said[1])).toBeLessThanOrEqual(SMALL.processes - 3);
    expect(realLimits(directory)?.groups.length).toBe(groups.length);
    await killShim(directory);
    await removeLimits(directory);
    for (const path of groups) expect(existsSync(path)).toBe(false);
  });

  it.runIf(isRoot && hasGroups)('is killed when it takes more memory, and the reason is told', async () => {
    const { directory, groups } = await launch('memory');
    const exit = await awaitProgramExit(directory);
    expect(memoryPeak(groups)).toBeLessThanOrEqual(SMALL.memoryBytes);
    expect(await explainExit(directory, exit)).toMatchObject({
      reason: 'died',
      message: 'killed by the host: it used more than its 16 MiB and 32 MiB of overhead',
    });
    await removeLimits(directory);
    for (const path of groups) expect(existsSync(path)).toBe(false);
  });

  it.runIf(isRoot && hasGroups)('is ended as a whole when the host kills one of its processes for it', async () => {
    const { directory } = await launch('children');
    expect(await explainExit(directory, await awaitProgramExit(directory))).toMatchObject({
      message: 'killed by the host: it used more than its 16 MiB and 32 MiB of overhead',
    });
    await removeLimits(directory);
  });

  it.runIf(isRoot && hasGroups)('does not end for what the host killed in its groups before', async () => {
    const id = randomBytes(16).toString('hex');
    await awaitProgramExit((await launch('children', id)).directory);
    const { directory } = await launch('rest', id);
    expect(await awaitProgramExit(directory)).toEqual({ code: 0, signal: null });
    await removeLimits(directory);
  });

  const callers = [
    { caller: 'root', change: {}, prefix: [] as string[] },
    {
      caller: 'an ordinary user',
      change: { identity: { kind: 'single' } as const },
      prefix: ['setpriv', '--reuid', '64321', '--regid', '64321', '--clear-groups'],
    },
  ];
  it.runIf(isRoot).each(callers)(
    'has resource limits without any group, started by $caller',
    async ({ change, prefix }) => {
      const rlimits = { nofile: SMALL.openFiles, nproc: SMALL.processes, data: SMALL.dataBytes, fsize: 5 * MIB };
      const directory = launchDirectory();
      if (prefix.length > 0) chownSync(directory, NOBODY.uid, NOBODY.gid);
      const ask = async (kind: string) =>
        (await run([...prefix, ...jail(kind, { ...change, directory, rlimits })])).stdout;
      expect(await ask('files')).toMatch(/^opened 9\d No file descriptors available$/m);
      expect(await ask('memory')).toMatch(/^touched (3\d|40) Out of memory$/m);
      expect(await ask('disk')).toMatch(/^wrote 5 File too large$/m);
      const forked = /^forked (\d+) Resource temporarily unavailable$/m.exec(await ask('fork'));
      expect(Number(forked?.[1])).toBeLessThan(SMALL.processes);
    },
  );
});

describe('guest root', () => {
  async function start(driver: UmlDriver | QemuDriver, change: Partial<LaunchSpec> = {}) {
    const spec = launchSpec({
      name: 'greedy',
      hostname: 'greedy',
      directory: launchDirectory(),
      memoryBytes: 64 * MIB,
      image: await new ImageStore().resolve(driver.traits.defaultImage),
      root: { kind: 'directory', path: root },
      cold: true,
      ...change,
    });
    const kernel = await driver.start(spec, new AbortController().signal);
    live.push(kernel);
    return { kernel, directory: spec.directory };
  }
  const greedy = (kernel: Kernel, ...args: string[]) =>
    kernel.guest.exec({ command: ['/greedy', ...args], env: {}, cwd: '/', user: '0' });

  it.runIf(isRoot && hasGroups).each(['fork', 'maps'])('of UML has bounded host processes: %s', async (kind) => {
    const [one, other] = await Promise.all([start(new UmlDriver()), start(new UmlDriver())]);
    const groups = groupPaths(one.directory);
    const ran = await collect(greedy(one.kernel, kind));
    // An error of its own, and no end of its kernel.
    const said = /^(?:forked|held) (\d+) (?:Out of memory|Resource temporarily unavailable)$/m.exec(ran.stdout);
    expect(Number(said?.[1])).toBeGreaterThan(100);
    // Each is a process of the host.
    expect(Number(said?.[1])).toBeLessThan(realLimits(one.directory)!.processes);
    expect(processesOf(one.directory)).toBeLessThanOrEqual(realLimits(one.directory)!.processes);
    expect((await collect(greedy(other.kernel, 'files'))).stdout).toContain('opened');
    // A UML keeps some of them for a while where it could not make their children.
    await until('its processes are gone', () => current(groups, 'pids.current') < 60);
    expect((await collect(greedy(one.kernel, 'files'))).stdout).toContain('opened');
    await one.kernel.kill();
    for (const path of groups) expect(existsSync(path)).toBe(false);
  });

  it.runIf(isRoot && hasGroups)('of UML touches no more memory of the host than is stated', async () => {
    const { kernel, directory } = await start(new UmlDriver());
    const groups = groupPaths(directory);
    const { memoryBytes, processes } = (await kernel.placementNow()).limits!;
    expect(memoryBytes).toBe((64 + 64 + 256) * MIB);
    expect(processes).toBe(64 + 256);
    await collect(greedy(kernel, 'memory'));
    expect(memoryPeak(groups)).toBeLessThanOrEqual(memoryBytes);
    expect((await collect(greedy(kernel, 'files'))).stdout).toContain('opened');
  });

  it.runIf(isRoot && hasGroups)('of UML is told why, when the host kills its kernel', async () => {
    const [{ kernel, directory }, other] = await Promise.all([start(new UmlDriver()), start(new UmlDriver())]);
    // A guest that is well within its bound, which shrinks.
    const group = groupPaths(directory).find((path) => existsSync(`${path}/memory.limit_in_bytes`));
    const files = group === undefined ? ['memory.max'] : ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'];
    for (const path of groupPaths(directory)) {
      for (const file of files) if (existsSync(`${path}/${file}`)) writeFileSync(`${path}/${file}`, String(32 * MIB));
    }
    void greedy(kernel, 'memory').exited;
    expect(await kernel.exited).toMatchObject({
      reason: 'died',
      message: 'killed by the host: it used more than its 64 MiB and 320 MiB of overhead',
    });
    expect((await collect(greedy(other.kernel, 'files'))).stdout).toContain('opened');
  });

  it.runIf(isRoot && hasGroups)(
    'a kernel that a killed manager left is found with its limits, and they go with it',
    async () => {
      const { kernel, directory } = await start(new UmlDriver());
      kernel.detach();
      live.length = 0;
      const groups = groupPaths(directory);
      expect(current(groups, 'pids.current')).toBeGreaterThan(2);
      await killShim(directory);
      expect(await new UmlDriver().attach({ id: 'f'.repeat(32), directory } as LaunchSpec)).toMatchObject({
        reason: 'died',
      });
      for (const path of groups) expect(existsSync(path)).toBe(false);
    },
  );

  it.runIf(isRoot)('finds the limits of QEMU, and with a few programs it is far from them', async () => {
    const { kernel, directory } = await start(new QemuDriver(), { memoryBytes: 128 * MIB, cold: false });
    expect((await collect(greedy(kernel, 'fork'))).stdout).toContain('forked');
    const limits = realLimits(directory)!;
    expect(limits.memoryBytes).toBe(128 * MIB + limits.overheadBytes);
    const pid = Math.max(...launchThreads(directory).map((thread) => thread.pid));
    expect(readFileSync(`/proc/${pid}/limits`, 'latin1')).toMatch(/^Max open files +\d{2,5} +\d{2,5} /m);
    if (hasGroups) expect(memoryPeak(groupPaths(directory))).toBeLessThan(limits.memoryBytes / 2 + 64 * MIB);
  });
});
