/** Memory that goes out of a kernel of User Mode Linux, by an agent that says where it lies. */
import { execFileSync } from 'node:child_process';
import {
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it, vi } from 'vitest';
import type { Pair } from '../../guest/index.ts';
import { nativePath } from '../../sys/paths.ts';
import { memoryOut, setMemoryOut } from './balloon.ts';
import { openMemoryFile } from './memory-file.ts';
import { ownMount, type Place, UmlRam } from './ram.ts';

const made: string[] = [];
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true });
});

const MIB = 2 ** 20;
const POLL_MS = 20;
const MACHINE = 64 * MIB;

/** Gives at most so many MiB. */
function agent(most: number, at = '') {
  let held = 0;
  return {
    asked: [] as string[],
    blamed: [] as string[],
    blame(what: string) {
      this.blamed.push(what);
    },
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

it('takes runs with a comma between them alone, whatever else a guest writes', async () => {
  const answer = (told: string) => memoryOut({ ask: async () => told }, MACHINE);
  expect(await answer('held=1 at=1+1,11+1')).toBe(MIB);
  for (const told of ['held=1 at=1+11+1', 'held=1 at=1+1,', `held=1 at=1${'+1111'.repeat(10)}!`])
    await expect(answer(told)).rejects.toMatchObject({ code: 'protocol' });
  await expect(answer(`held=1 at=1${'+1111'.repeat(255)}!`)).rejects.toMatchObject({ code: 'protocol' });
});

const memory = () => {
  const freed: [number, number][] = [];
  return {
    freed,
    open: async () => ({
      free: async (places: readonly Place[]) => {
        for (const { offset, bytes } of places) freed.push([offset, bytes]);
      },
      [Symbol.dispose]() {},
    }),
  };
};

it('frees each piece on the host as the guest holds it, and has all of it let go at once', async () => {
  const guest = agent(64);
  const { freed, open } = memory();
  await setMemoryOut(guest, MACHINE, { before: 0, after: 3 * MIB }, open);
  expect(freed).toEqual([1, 2, 3].map((piece) => [piece * MIB, MIB]));
  expect(await memoryOut(guest, MACHINE)).toBe(3 * MIB);
  guest.asked.length = 0;
  await setMemoryOut(guest, MACHINE, { before: 3 * MIB, after: MIB }, open);
  expect(guest.asked).toEqual(['balloon=1']);
  expect(freed).toHaveLength(3);
});

it('leaves all as it was where programs use what is to go', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'setInterval'] });
  try {
    const guest = agent(2);
    const done = expect(
      setMemoryOut(guest, MACHINE, { before: 0, after: 9 * MIB }, memory().open),
    ).rejects.toMatchObject({
      ...{
        code: 'not-ready',
        field: 'memoryBytes',
        message: expect.stringMatching(/2 MiB within 1\d s, and not 9 MiB/),
      },
    });
    for (let second = 0; second < 12; second++) await vi.advanceTimersByTimeAsync(1000);
    await done;
    expect(await memoryOut(guest, MACHINE)).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

it('waits for one that starts as long as something comes, until the signal aborts', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'setInterval'] });
  try {
    // On a busy host a MiB takes it five seconds.
    const slow = (most: number) => {
      const guest = agent(most);
      return {
        blame: () => {},
        async ask(steps: readonly Pair[]) {
          if (steps[0]![1] !== '' && steps[0]![1] !== '0') await new Promise((resolve) => setTimeout(resolve, 5000));
          return guest.ask(steps);
        },
      };
    };
    const starting = new AbortController();
    const options = { starting: starting.signal };
    const take = (most: number) =>
      setMemoryOut(slow(most), MACHINE, { before: 0, after: 9 * MIB }, memory().open, options).then(
        () => 'done',
        ({ message }) => message,
      );
    /** Second by second; the pauses between two questions are real ones. */
    const outcome = async (taking: Promise<string>, atSecond = (_: number) => {}) => {
      let said: string | undefined;
      void taking.then((text) => {
        said = text;
      });
      for (let second = 0; said === undefined && second < 100; second++) {
        atSecond(second);
        await vi.advanceTimersByTimeAsync(1000);
        await delay(POLL_MS + 5);
      }
      return said;
    };
    expect(await outcome(take(9))).toBe('done');
    // What does not come for ten seconds does not come.
    expect(await outcome(take(2))).toMatch(/^the guest can spare 2 MiB within 2\d s, and not 9 MiB/);
    const given = outcome(take(9), (second) => void (second === 12 && starting.abort()));
    expect(await given).toMatch(/^the guest can spare 3 MiB within 1\d s/);
  } finally {
    vi.useRealTimers();
  }
});

it('waits with a deadline for a guest that holds more, less, and more again', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'setInterval'] });
  try {
    let asked = 0;
    const guest = {
      blame: () => {},
      ask: async ([step]: readonly Pair[]) => {
        asked += 1;
        // Without a deadline it would go on for ever, without a pause.
        if (asked > 5000) throw new Error('asked without end');
        return step![1] === '0' ? 'held=0' : `held=${1 + (asked % 2)}`;
      },
    };
    const done = expect(
      setMemoryOut(guest, MACHINE, { before: 0, after: 9 * MIB }, memory().open),
    ).rejects.toMatchObject({ code: 'not-ready', field: 'memoryBytes' });
    for (let second = 0; second < 12; second++) await vi.advanceTimersByTimeAsync(1000);
    await done;
    expect(asked).toBeLessThan(1000);
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
  await expect(setMemoryOut(agent(9, at), MACHINE, { before: 0, after: MIB }, open)).rejects.toMatchObject({
    code: 'protocol',
  });
  expect(freed).toEqual([]);
});

it('waits with a deadline for a kernel that keeps its memory busy, and blames it', async () => {
  const guest = agent(9);
  const free = (_: readonly Place[], signal: AbortSignal) =>
    new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const busy = async () => ({ free, [Symbol.dispose]() {} });
  await expect(
    setMemoryOut(guest, MACHINE, { before: 0, after: 2 * MIB }, busy, { patienceMs: 1 }),
  ).rejects.toMatchObject({
    ...{ code: 'not-ready', field: 'memoryBytes' },
  });
  expect(guest.blamed).toHaveLength(1);
  // The hole may still come: what it is in is not given back to the guest's programs.
  expect(await memoryOut(guest, MACHINE)).toBe(MIB);
});

it('opens the file of that name on the memory file system of its own, and no other', async () => {
  const mount = (device: string, kind: string) =>
    `30 1 0:28 / / rw - tmpfs tmpfs rw\n31 30 ${device} / /dev/shm rw,nosuid shared:3 - ${kind} tmpfs rw,size=1k\n`;
  expect(ownMount(mount('0:57', 'tmpfs'))?.device).toBe(57);
  expect(ownMount(mount('0:300', 'tmpfs'))?.device).toBe((1 << 20) | 44);
  expect(ownMount(mount('8:1', 'ext4'))).toBeUndefined();
  expect(ownMount('')).toBeUndefined();
  const { proc, device } = kernel();
  mountAt(proc, device + 1);
  await expect(UmlRam.open(7, proc, 'true')).rejects.toThrow('is not to be found');
});

/** The /proc of a process 7 whose memory is a file, and where that lies. */
function kernel() {
  const directory = mkdtempSync(join(tmpdir(), 'pk-ram-'));
  made.push(directory);
  const memory = join(directory, 'vm_file-abcdef (deleted)');
  mkdirSync(join(directory, '7', 'fd'), { recursive: true });
  writeFileSync(memory, Buffer.alloc(3 * 4096, 'x'));
  symlinkSync(memory, join(directory, '7', 'fd', '3'));
  mkdirSync(join(directory, '7', 'fdinfo'));
  writeFileSync(join(directory, '7', 'fdinfo', '3'), 'pos:\t0\nflags:\t0100002\nmnt_id:\t31\n');
  const { dev } = statSync(memory);
  mountAt(directory, dev);
  return { proc: directory, memory, device: dev };
}

/** Of a device that has a number of glibc's makedev. */
function mountAt(proc: string, device: number): void {
  const [major, minor] = [(device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xffffff00)];
  writeFileSync(join(proc, '7', 'mountinfo'), `31 30 ${major}:${minor} / /dev/shm rw - tmpfs tmpfs rw\n`);
}

it('opens no file of another mount, which may never answer, whatever the process calls it', async () => {
  const { proc, memory } = kernel();
  const opened: number[] = [];
  const isRight = ({ ino }: { ino: number }) => opened.push(ino) > 0;
  expect(await openMemoryFile(join(proc, '7'), constants.O_RDWR, isRight, 32)).toBeUndefined();
  expect(opened).toEqual([]);
  const file = await openMemoryFile(join(proc, '7'), constants.O_RDWR, isRight, 31);
  await file?.close();
  expect(opened).toEqual([statSync(memory).ino]);
});

const NEVER = new AbortController().signal;

it.runIf(existsSync(nativePath('pk-holes')))('makes holes at the places and nowhere else', async () => {
  const { proc, memory } = kernel();
  using ram = await UmlRam.open(7, proc);
  await ram.free([{ offset: 4096, bytes: 4096 }], NEVER);
  await ram.free([], NEVER);
  await ram.free([{ offset: 8192, bytes: 4096 }], NEVER);
  const expected = Buffer.alloc(3 * 4096);
  expected.fill('x', 0, 4096);
  expect(readFileSync(memory).equals(expected)).toBe(true);
});

it('waits no longer than it may for a process that hangs, and not at all for one that ends', async () => {
  const { proc } = kernel();
  const place = [{ offset: 0, bytes: 4096 }];
  // It reads its input and answers nothing.
  const program = join(proc, 'hang');
  writeFileSync(program, '#!/bin/sh\nexec cat >/dev/null\n', { mode: 0o755 });
  using hangs = await UmlRam.open(7, proc, program);
  const enough = new AbortController();
  const waiting = hangs.free(place, enough.signal);
  enough.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  using ends = await UmlRam.open(7, proc, 'false');
  await expect(ends.free(place, NEVER)).rejects.toMatchObject({ code: 'internal' });
  using none = await UmlRam.open(7, proc, '/no/such/program');
  await expect(none.free(place, NEVER)).rejects.toMatchObject({ code: 'internal' });
});

it.each(['fifo', 'a link to another file'])('is not misled by %s of that name', async (what) => {
  const { proc, memory } = kernel();
  rmSync(memory);
  if (what === 'fifo') execFileSync('mkfifo', [memory]);
  else symlinkSync('/proc/version', memory);
  await expect(UmlRam.open(7, proc, 'true')).rejects.toThrow('is not to be found');
});
