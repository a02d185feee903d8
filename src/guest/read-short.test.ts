import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { onlineCpus } from '../driver/qemu/resize.ts';
import { readShortFile } from './read-short.ts';

/** A file that goes on for as long as somebody reads; `given` counts its pieces. */
function endless() {
  const state = { given: 0, stream: undefined as Readable | undefined };
  const readFile = async () => {
    state.stream = new Readable({
      read() {
        state.given += 1;
        this.push(Buffer.alloc(4096, 0x30));
      },
    });
    return state.stream;
  };
  return { state, readFile, blame: () => {} };
}

it('of what a guest has mounted in the place of a short file no more is read than that can have', async () => {
  for (const read of [onlineCpus, (guest: ReturnType<typeof endless>) => readShortFile(guest, '/proc/x')]) {
    const guest = endless();
    await expect(read(guest)).rejects.toMatchObject({ code: 'protocol' });
    expect(guest.state.given).toBeLessThan(64);
    expect(guest.state.stream?.destroyed).toBe(true);
  }
});

it('one that does not end, or is never opened, has a deadline, which counts against the guest', async () => {
  const blamed: string[] = [];
  const blame = (what: string) => void blamed.push(what);
  const begun = new Readable({ read() {} });
  const opening = Promise.withResolvers<Readable>();
  for (const readFile of [async () => begun, () => opening.promise])
    await expect(readShortFile({ readFile, blame }, '/proc/x', { deadlineMs: 5 })).rejects.toMatchObject({
      code: 'not-ready',
    });
  expect(begun.destroyed).toBe(true);
  expect(blamed).toEqual(['/proc/x', '/proc/x']);
  // Opened after all: nobody reads it.
  const late = new Readable({ read() {} });
  opening.resolve(late);
  await new Promise((resolve) => late.once('close', resolve));
});

it('a short one is given whole', async () => {
  const guest = { readFile: async () => Readable.from([Buffer.from('0-1'), Buffer.from(',3\n')]) };
  expect(await readShortFile(guest, '/proc/x')).toBe('0-1,3\n');
  expect(await onlineCpus({ ...guest, blame: () => {} })).toBe(3);
});
