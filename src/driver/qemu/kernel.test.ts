/** A program in place of QEMU, under a real pk-shim, that says on its monitor what no QEMU would. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { nativeProgram } from '../../../test/support/native.ts';
import { GuestLink } from '../../guest/index.ts';
import type { KernelWord } from '../driver.ts';
import { consoleLogPath, killShim, launchShim } from '../shim/shim.ts';
import { QemuKernel } from './kernel.ts';

let directory: string;
beforeEach(async () => {
  await nativeProgram('pk-shim');
  directory = mkdtempSync(join(tmpdir(), 'pk-qemu-'));
});
afterEach(async () => {
  await killShim(directory);
  rmSync(directory, { recursive: true });
});

/** Says `lines`, then answers each command with `value`, which `cases` of sh can set by `line`, and writes it to the file `asked`. */
async function started(lines: string, value = '{}', cases = ''): Promise<QemuKernel> {
  writeFileSync(join(directory, 'lines'), lines);
  writeFileSync(join(directory, 'value'), value);
  const asked = `printf '%s\\n' "$line" >>'${join(directory, 'asked')}'`;
  const answer = `read -r value <'${join(directory, 'value')}'; while read -r line <&4; do ${asked}; case $line in ${cases} esac; case $line in '{'*) id=\${line##*'"id":"'}; printf '{"return":%s,"id":"%s"}\\n' "$value" "\${id%%'"'*}" >&4;; esac; done`;
  const argv = ['/bin/sh', '-c', `cat '${join(directory, 'lines')}' >&4; ${answer}`];
  const { pid } = await launchShim({ directory, argv });
  return new QemuKernel({
    ...{ id: 'a'.repeat(32), directory, pid, cloned: false, hasBalloon: false },
    identity: { kind: 'single' },
    machine: { cpus: 1, memoryBytes: 2 ** 28 },
    guest: new GuestLink({ name: 'web', isPort: true }),
  });
}

/** Its machine is `suspended` until it has been woken so many times. */
async function asleep(wakes: number): Promise<QemuKernel> {
  const kernel = await started(
    '',
    '{}\n',
    `*query-status*) value="{\\"status\\":\\"$(test "$(grep -c system_wakeup '${join(directory, 'asked')}')" -lt ${wakes} && echo suspended || echo paused)\\"}";; *) value={};;`,
  );
  return kernel;
}

it('wakes a machine that sleeps to pause it, so that it does not wake by itself while it is paused', async () => {
  const kernel = await asleep(2);
  await kernel.pause();
  const asked = readFileSync(join(directory, 'asked'), 'utf8').match(/stop|query-status|system_wakeup/g);
  const look = ['stop', 'query-status'];
  expect(asked).toEqual([...look, 'system_wakeup', ...look, 'system_wakeup', ...look]);
  kernel.detach();
});

it('does not say that a machine is paused which sleeps again each time that it is woken', async () => {
  const kernel = await asleep(1000);
  await expect(kernel.pause()).rejects.toMatchObject({ code: 'not-ready' });
  expect(countOf('system_wakeup')).toBeLessThan(20);
  // Nor does it stand still later for what was refused.
  await vi.waitFor(() => expect(countOf('"cont"')).toBe(1), 10_000);
  kernel.detach();
});

it('has one deadline for a pause, however often its machine is woken for it', async () => {
  const kernel = await asleep(1000);
  let nowMs = performance.now();
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 1000));
  try {
    await expect(kernel.pause()).rejects.toMatchObject({ code: 'not-ready' });
  } finally {
    clock.mockRestore();
  }
  expect(countOf('system_wakeup')).toBeLessThan(5);
  kernel.detach();
});

it('looks once for the words of a panic that is told of again and again', async () => {
  const kernel = await started(`${'{"event": "GUEST_PANICKED"}\n'.repeat(500)}{"event": "GUEST_CRASHLOADED"}\n`);
  const words: KernelWord['sign'][] = [];
  const panic = new Promise<void>((resolve) => {
    kernel.heed(({ sign }) => {
      words.push(sign);
      if (words.includes('panic') && words.includes('dumping')) resolve();
    });
  });
  await panic;
  await kernel.resume();
  expect(words.filter((word) => word === 'panic')).toEqual(['panic']);
  kernel.detach();
});

it.each([
  ['an object that is no text', '{"toString": 1}'],
  ['one in another in another', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
  ['what every object has', '"constructor"'],
])('hears what comes behind an end whose reason is %s', async (_, reason) => {
  const end = `{"event": "SHUTDOWN", "data": {"reason": ${reason}}}`;
  const kernel = await started(`${end}\n{"event": "GUEST_CRASHLOADED"}\n`);
  const heard = new Promise<string>((resolve) => kernel.heed(({ sign }) => resolve(sign)));
  expect(await heard).toBe('dumping');
  kernel.detach();
});

it('may write as much more into a dump as it shares with others', async () => {
  const kernel = await started('');
  const { mostBytes } = kernel.memory;
  const region = {
    id: 'b'.repeat(32),
    name: 'orders',
    slot: 0,
    path: join(directory, 'none'),
    bytes: 2 ** 29,
  } as const;
  // There is no such memory, and a guest can hide what it was given.
  await expect(kernel.attachRegion({ ...region, side: 'send' })).rejects.toMatchObject({});
  expect(kernel.memory.mostBytes).toBeGreaterThanOrEqual(mostBytes + region.bytes);
  kernel.detach();
});

const HALTED = JSON.stringify('CPU#0\r\nRIP=ffffffff81b3b6cb RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n');
const countOf = (command: string) => readFileSync(join(directory, 'asked'), 'utf8').split(command).length - 1;

it('is asked for its registers once at a time, however long its guest is silent', async () => {
  const kernel = await started('', '""\n');
  for (let look = 0; look < 80; look++) kernel.beats();
  await kernel.resume();
  expect(countOf('info registers')).toBe(1);
  kernel.detach();
});

it('is ended where its kernel has said that it halts, and not where its CPUs look like that', async () => {
  const kernel = await started('', `${HALTED}\n`);
  let isEnded = false;
  void kernel.exited.then(() => {
    isEnded = true;
  });
  const look = async () => {
    const before = existsSync(join(directory, 'asked')) ? countOf('info registers') : 0;
    await vi.waitFor(() => {
      kernel.beats();
      expect(countOf('info registers')).toBeGreaterThan(before + 1);
    }, 10_000);
  };
  await look();
  await kernel.resume();
  expect(isEnded).toBe(false);
  writeFileSync(consoleLogPath(directory), 'reboot: System halted\n');
  await vi.waitFor(() => {
    kernel.beats();
    expect(isEnded).toBe(true);
  }, 10_000);
  expect(await kernel.exited).toMatchObject({ reason: 'stopped', message: 'the guest powered itself off' });
});
