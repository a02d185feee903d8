/** Memory that goes out of a kernel of User Mode Linux, by an agent that says where it lies. */
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { Pair } from '../../guest/index.ts';
import { memoryOut, setMemoryOut } from './balloon.ts';
import { ownDevice, UmlRam } from './ram.ts';

const MIB = 2 ** 20;
const MACHINE = 64 * MIB;

/** Gives at most so many MiB. */
function agent(most: number, at = '') {
  let held = 0;
  return {
    asked: [] as string[],
    async ask(steps: readonly Pair[]): Promise<string> {
      const [key, value] = steps[0]!;
      this.asked.push(`${key}=${value}`);
      if (value === '' || Number(value) === held) return `held=${held}`;
      if (Number(value) < held) {
        held = Number(value);
        return `held=${held}`;
      }
      if (held >= most) return `held=${held}`;
      held += 1;
      return `held=${held} at=${at || `${(held * 256).toString(16)}+100`}`;
    },
  };
}

const memory = () => {
  const freed: [number, number][] = [];
  return {
    freed,
    open: () => ({ free: (offset: number, bytes: number) => freed.push([offset, bytes]), [Symbol.dispose]() {} }),
  };
};

it('frees each piece on the host as the guest holds it, and has all of it let go at once', async () => {
  const guest = agent(64);
  const { freed, open } = memory();
  await setMemoryOut(guest as never, MACHINE, { before: 0, after: 3 * MIB }, open as never);
  expect(freed).toEqual([1, 2, 3].map((piece) => [piece * MIB, MIB]));
  expect(await memoryOut(guest, MACHINE)).toBe(3 * MIB);
  guest.asked.length = 0;
  await setMemoryOut(guest as never, MACHINE, { before: 3 * MIB, after: MIB }, open as never);
  expect(guest.asked).toEqual(['balloon=1']);
  expect(freed).toHaveLength(3);
});

it('leaves all as it was where programs use what is to go', async () => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'setInterval'] });
  try {
    const guest = agent(2);
    const done = expect(
      setMemoryOut(guest as never, MACHINE, { before: 0, after: 9 * MIB }, memory().open as never),
    ).rejects.toMatchObject({
      ...{
        code: 'not-ready',
        field: 'memoryBytes',
        message: expect.stringContaining('2 MiB within 10 s, and not 9 MiB'),
      },
    });
    for (let second = 0; second < 12; second++) await vi.advanceTimersByTimeAsync(1000);
    await done;
    expect(await memoryOut(guest, MACHINE)).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

it.each([
  ['beyond its memory', 'ffffff+1'],
  ['of no length', '10+0'],
  ['that is no place', 'x'],
])('believes no place %s', async (_, at) => {
  const { freed, open } = memory();
  await expect(
    setMemoryOut(agent(9, at) as never, MACHINE, { before: 0, after: MIB }, open as never),
  ).rejects.toMatchObject({
    code: 'protocol',
  });
  expect(freed).toEqual([]);
});

it('opens the file of that name on the memory file system of its own, and no other', () => {
  const mount = (device: string, kind: string) =>
    `30 1 0:28 / / rw - tmpfs tmpfs rw\n31 30 ${device} / /dev/shm rw,nosuid shared:3 - ${kind} tmpfs rw,size=1k\n`;
  expect(ownDevice(mount('0:57', 'tmpfs'))).toBe(57);
  expect(ownDevice(mount('0:300', 'tmpfs'))).toBe((1 << 20) | 44);
  expect(ownDevice(mount('8:1', 'ext4'))).toBeUndefined();
  expect(ownDevice('')).toBeUndefined();
  const directory = mkdtempSync(join(tmpdir(), 'pk-ram-'));
  try {
    const proc = join(directory, '7');
    mkdirSync(join(proc, 'fd'), { recursive: true });
    writeFileSync(join(directory, 'other'), 'x');
    symlinkSync(join(directory, 'other'), join(proc, 'fd', '3'));
    const { dev } = statSync(directory);
    writeFileSync(join(proc, 'mountinfo'), mount(`${(dev >> 8) & 0xfff}:${(dev & 0xff) + 1}`, 'tmpfs'));
    expect(() => new UmlRam(7, directory)).toThrow('is not to be found');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
