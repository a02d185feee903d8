import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nativeProgram } from '../../test/support/native.ts';
import { type ConfinedTask, confinedOutput, startConfined } from './confined-tool.ts';
import { type LimitGroup, limitMechanism } from './limit-groups.ts';
import { cacheDirectory } from './paths.ts';
import { run } from './process.ts';
import { sweepToolGroups } from './tool-groups.ts';
import { FIRST_TOOL_ID, TOOL_IDS } from './tool-ids.ts';

const isRoot = process.getuid?.() === 0;
const hasGroups = limitMechanism().groups.length === 2;
let directory: string;
beforeEach(async () => {
  await nativeProgram('pk-jail');
  directory = mkdtempSync(join(tmpdir(), 'pk-tool-'));
  chmodSync(directory, 0o700);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A shell in place of a tool that a hostile archive took over. */
function shell(script: string, more: Partial<ConfinedTask> = {}) {
  const args = ['sh', '-c', script];
  return { subject: 'x.tar', programs: ['busybox'], args, deadlineMs: 20_000, place: directory, ...more };
}

const say = async (script: string, more: Partial<ConfinedTask> = {}) =>
  (await confinedOutput(shell(script, more), 65536)).toString().trim();

/** What the control groups of a process's tools are, as it wrote them down. */
function groupsOf(pid: number): LimitGroup[] {
  const records = join(cacheDirectory(), 'tool-groups');
  const names = existsSync(records) ? readdirSync(records) : [];
  return names
    .filter((name) => name.startsWith(`${pid}-`))
    .flatMap((name) => JSON.parse(readFileSync(join(records, name), 'utf8')));
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(15_000);
  while (!condition()) await delay(5, undefined, { signal: deadline });
}

/** Processes of the host with this text among their arguments. */
function withArgument(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(text);
      } catch {
        return false;
      }
    });
}

describe('a confined tool', () => {
  it('sees itself, its libraries and its place, and nothing else of the host', async () => {
    expect((await say('busybox ls /')).split('\n')).toEqual(['out', 'tool']);
    expect((await say('busybox ls /tool')).split('\n')).toEqual(['busybox', 'pk-jail']);
    const environment = (await say('busybox env | busybox sort')).split('\n');
    // One that set-up unpacked has its libraries beside it.
    const own = environment.filter((line) => !line.startsWith('LD_LIBRARY_PATH='));
    expect(own).toEqual(['LC_ALL=C', 'PATH=/tool', 'PWD=/', 'SHLVL=1']);
    expect(await say('echo *')).toBe('out tool');
  });

  it.runIf(isRoot)('is not root of the host', async () => {
    // Root in a user namespace of its own, where nobody else is.
    expect(await say('busybox id -u; busybox touch /out/mine')).toBe('0');
    const { uid } = statSync(join(directory, 'mine'));
    expect(uid).toBeGreaterThanOrEqual(FIRST_TOOL_ID);
    expect(uid).toBeLessThan(FIRST_TOOL_ID + TOOL_IDS);
  });

  it('writes its place alone', async () => {
    expect(await say('(echo no >/no) 2>/out/said || echo refused')).toBe('refused');
    expect(readFileSync(join(directory, 'said'), 'utf8')).toMatch(/Read-only file system/);
  });

  it.each([
    ['mount', 'busybox mount -t tmpfs none /out', /permission denied|not permitted/],
    ['make a namespace', 'busybox unshare -U busybox true', /not permitted/],
    ['reach the network', 'busybox nc 127.0.0.1 1', /not supported by protocol/],
    ['give files away', 'busybox chown 0:1 /out/said', /not permitted|Invalid argument/],
  ])('has no right to %s', async (_, script, why) => {
    expect(await say(`${script} 2>/out/said && echo done || echo refused`)).toBe('refused');
    expect(readFileSync(join(directory, 'said'), 'utf8')).toMatch(why);
  });

  // Whoever reads lets go of them: 0.14 s for each GiB of memory, and more for a file of many blocks.
  it('sends no descriptors along on its output', async () => {
    const program = join(directory, 'descriptors');
    const source = join(import.meta.dirname, '../../test/fixtures/descriptors.c');
    expect(await run(['musl-gcc', '-static', '-o', program, source])).toMatchObject({ code: 0, stderr: '' });
    const task = { subject: 'x', programs: [program], args: ['lines'], output: 'stream', deadlineMs: 20_000 } as const;
    const tool = startConfined(task);
    const [said] = await once(tool.stdout!, 'data');
    tool.stop(new Error('seen'));
    await expect(tool.ended).rejects.toThrow('seen');
    expect(String(said)).toMatch(/^1 EPERM\n/);
  });

  it('is stopped at the bound of a file', async () => {
    const task = shell('busybox yes >/out/bomb', { bounds: { fileBytes: 1 << 20 } });
    await expect(startConfined(task).ended).rejects.toMatchObject({
      code: 'invalid',
      message: 'x.tar is larger than 1 MiB when unpacked, which is the bound',
    });
  });

  it('is stopped when the disk gets full, and not started on a full one', async () => {
    const file = join(directory, 'large');
    const space = () => ({ free: existsSync(file) ? 2 ** 20 : 2 ** 40, size: 2 ** 40 });
    const refusal = {
      code: 'internal',
      value: directory,
      message: `there is no room for what x.tar unpacks to in ${directory}: 1 MiB are free there, 1 GiB have to stay free`,
    };
    await expect(startConfined(shell('busybox yes >/out/large', { space })).ended).rejects.toMatchObject(refusal);
    expect(() => startConfined(shell('echo', { space }))).toThrow(refusal.message);
  });

  it('is stopped at the bound of its output', async () => {
    const bomb = gzipSync(Buffer.alloc(8 << 20));
    const task = { subject: 'b.gz', programs: ['gzip'], args: ['-dc'], input: bomb, deadlineMs: 20_000 };
    await expect(confinedOutput(task, 1 << 20)).rejects.toMatchObject({
      code: 'invalid',
      message: 'b.gz is larger than 1 MiB when unpacked, which is the bound',
    });
  });

  it('is stopped at the bound of its memory', async () => {
    const task = shell('x=0123456789abcdef; while :; do x=$x$x; done', { bounds: { memoryBytes: 64 << 20 } });
    await expect(startConfined(task).ended).rejects.toMatchObject({ code: 'invalid' });
  });

  it('is stopped at the bound of its CPU time', async () => {
    await expect(
      startConfined(shell('while :; do :; done', { bounds: { cpuSeconds: 1 } })).ended,
    ).rejects.toMatchObject({
      code: 'invalid',
      message: 'x.tar takes more than 1s of a CPU, which is the bound',
    });
  });

  it.each([
    ['its deadline passes', () => ({ deadlineMs: 200 }), 'x.tar takes longer than 200ms, which is the bound'],
    [
      'it is no longer wanted',
      () => ({ signal: AbortSignal.timeout(200) }),
      'The operation was aborted due to timeout',
    ],
  ])('leaves no process when %s', async (name, more, message) => {
    const mark = `mark-${process.pid}-${name.length}`;
    const running = startConfined(shell(`busybox sh -c 'while :; do :; done' ${mark}; :`, more()));
    await expect(running.ended).rejects.toMatchObject({ message });
    await until(() => withArgument(mark).length === 0);
  });

  it('fails with what it said, harmless for a terminal', async () => {
    const task = shell(`printf 'no: \\033[31mred\\342\\200\\256\\n' >&2; exit 3`);
    await expect(startConfined(task).ended).rejects.toMatchObject({
      code: 'invalid',
      message: 'x.tar cannot be unpacked: busybox: no: \ufffd[31mred\ufffd',
    });
  });

  // What is read of it costs this process a third of a CPU, for as long as a tool may take.
  it('is heard at a pace, however much it says', async () => {
    const begun = performance.now();
    const script = 'while :; do busybox head -c 262144 /tool/busybox >&2; echo said >>/out/said; done';
    await expect(startConfined(shell(script, { deadlineMs: 1_000 })).ended).rejects.toThrow('takes longer than 1s');
    const passed = (performance.now() - begun) / 1000;
    // 2.5 MiB a second, and what is on its way.
    expect(readFileSync(join(directory, 'said'), 'latin1').split('\n').length).toBeLessThan(10 * passed + 6);
  });

  it('may leave its input unread', async () => {
    const endless = Readable.from(
      (function* () {
        for (;;) yield Buffer.alloc(65536);
      })(),
    );
    expect(await say('busybox head -c 1 >/dev/null 2>&1; exit 0', { input: endless })).toBe('');
  });

  // Each is below the bound, all together are not.
  it.runIf(hasGroups)('has one bound of memory for all its processes, and goes on without none of them', async () => {
    const hold = '(busybox yes | busybox dd bs=60M count=1 iflag=fullblock >/out/pipe)';
    const script = `busybox mkfifo /out/pipe; busybox sleep 1000 </out/pipe | ${Array(3).fill(hold).join(' | ')}`;
    await expect(startConfined(shell(script, { bounds: { memoryBytes: 128 << 20 } })).ended).rejects.toMatchObject({
      message: 'x.tar cannot be unpacked: busybox was killed, as for want of memory',
    });
  });

  it.runIf(hasGroups)('leaves no control group, even when what started it is killed', async () => {
    await say('echo over');
    expect(groupsOf(process.pid)).toEqual([]);
    const mark = `mark-${process.pid}-orphan`;
    const tool = new URL('./confined-tool.ts', import.meta.url).href;
    const task = { ...shell('echo up; while :; do :; done', { place: undefined as never }), output: 'stream' };
    const args = [...task.args, mark];
    const code = `import { startConfined } from ${JSON.stringify(tool)};
      startConfined(${JSON.stringify({ ...task, args })}).stdout.pipe(process.stdout);`;
    const starter = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(starter.stdout, 'data');
    } finally {
      starter.kill('SIGKILL');
    }
    const groups = groupsOf(starter.pid!);
    expect(groups.flatMap(({ controllers }) => controllers).sort()).toEqual(['memory', 'pids']);
    await until(() => withArgument(mark).length === 0);
    await sweepToolGroups();
    expect(groups.filter(({ path }) => existsSync(path))).toEqual([]);
    expect(groupsOf(starter.pid!)).toEqual([]);
  });

  it.each([
    ['gzip', ['-dc'], gzipSync],
    ['zstd', ['-dcq'], zstdCompressSync],
  ] as const)('unpacks with %s', async (program, args, pack) => {
    const bytes = Buffer.from('hello '.repeat(100_000));
    const task = { subject: 'x', programs: [program], args, input: pack(bytes), deadlineMs: 20_000 };
    expect((await confinedOutput(task, 1 << 20)).equals(bytes)).toBe(true);
  });

  it('names a program that is missing', async () => {
    const task = { subject: 'x', programs: ['no-such-tool'], args: [], deadlineMs: 1000 };
    expect(() => startConfined(task)).toThrow(/the program no-such-tool is missing/);
  });
});
