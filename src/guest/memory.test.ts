import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import koffi from 'koffi';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { reuse } from '../sys/pieces.ts';
import { isLineMemory, LineMemory, lineMemoryBytes } from './memory.ts';
import { encodePairs, Flag, SLOT_BYTES, ToGuest, ToHost, u16, u32 } from './protocol.ts';
import { connected, Guest } from './testing.ts';

const SLOTS = 2;
const request = { command: ['true'], env: {}, cwd: '/', user: '0' };
let directory: string;
/** The guest's side of the memory. */
let file: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-memory-'));
  file = openSync(join(directory, 'memory'), 'w+');
  ftruncateSync(file, lineMemoryBytes(SLOTS));
});

afterEach(() => {
  closeSync(file);
  rmSync(directory, { recursive: true });
});

async function sharing(slots = SLOTS) {
  const guest = new Guest();
  guest.hello = (nonce) =>
    guest.send(
      ToHost.hello,
      0,
      Buffer.concat([
        u16(1, 0),
        u32(nonce),
        encodePairs(Object.entries({ slots, stdin: 131_072 }).map(([k, v]) => [k, `${v}`])),
      ]),
    );
  const opened = openSync(join(directory, 'memory'), 'r+');
  const { link } = await connected({}, guest, new LineMemory(opened));
  return { guest, link, opened };
}

const turns = async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

const slot = (index: number, length: number): Buffer => {
  const data = Buffer.alloc(length);
  readSync(file, data, 0, length, index * SLOT_BYTES);
  return data;
};

it('puts input into a slot only when the guest has acknowledged what was there before', async () => {
  const { guest, link } = await sharing();
  const process = link.exec(request);
  await guest.next(ToGuest.exec);
  guest.autoAck = false;
  const input = randomBytes(2 * SLOT_BYTES + 5000);
  process.stdin.write(input);
  for (const index of [0, 1]) {
    const frame = await guest.next(ToGuest.stdin);
    expect([frame.flags, frame.payload.readUInt32LE()]).toEqual([Flag.memory, SLOT_BYTES]);
    expect(slot(index, SLOT_BYTES).equals(input.subarray(index * SLOT_BYTES, (index + 1) * SLOT_BYTES))).toBe(true);
  }
  // Credit alone is not enough: the agent may not have looked at the slots yet.
  guest.send(ToHost.credit, process.session, u32(131_072));
  await turns();
  expect(guest.frames.filter(({ type }) => type === ToGuest.stdin)).toEqual([]);
  guest.send(ToHost.ack, 0, u32(guest.received));
  expect((await guest.next(ToGuest.stdin)).payload.readUInt32LE()).toBe(5000);
  expect(slot(0, 5000).equals(input.subarray(2 * SLOT_BYTES))).toBe(true);
  process.stdin.write('short');
  expect(await guest.next(ToGuest.stdin)).toMatchObject({ flags: 0, payload: Buffer.from('short') });
});

it('takes output out of the slots in their order and says so', async () => {
  const { guest, link } = await sharing();
  const process = link.exec(request);
  const { session } = await guest.next(ToGuest.exec);
  const output = randomBytes(3 * 10_000);
  for (let piece = 0; piece < 3; piece++) {
    writeSync(file, output, piece * 10_000, 10_000, (SLOTS + (piece % SLOTS)) * SLOT_BYTES);
    guest.send(ToHost.stdout, session, u32(10_000), Flag.memory);
    expect((await guest.next(ToGuest.taken)).payload.readUInt32LE()).toBe(piece + 1);
  }
  guest.send(ToHost.stdout, session, undefined, Flag.eof);
  expect((await buffer(process.stdout)).equals(output)).toBe(true);
});

it('has as many slots as its size says, with or without a word that beats', () => {
  for (const slots of [1, 4, 8, 16, 64]) {
    for (const hasBeat of [true, false]) expect(isLineMemory(lineMemoryBytes(slots, hasBeat))).toBe(true);
    ftruncateSync(file, lineMemoryBytes(slots));
    const memory = new LineMemory(openSync(join(directory, 'memory'), 'r+'));
    expect(memory.slots).toBe(slots);
    expect(memory.beats()).toBe(0);
    memory.close();
  }
  for (const bytes of [0, 4096, lineMemoryBytes(1) + 1, lineMemoryBytes(1) + 4096, lineMemoryBytes(65)])
    expect(isLineMemory(bytes)).toBe(false);
});

it('uses a copy again once nobody looks at it any more, and no other memory', () => {
  const memory = new LineMemory(openSync(join(directory, 'memory'), 'r+'));
  writeSync(file, 'first', SLOTS * SLOT_BYTES);
  writeSync(file, 'other', (SLOTS + 1) * SLOT_BYTES);
  const LONG = SLOT_BYTES - 1;
  const [first, other] = [memory.take(LONG)!, memory.take(LONG)!];
  for (const piece of [first, first, Buffer.alloc(SLOT_BYTES)]) reuse(piece);
  const [third, fourth] = [memory.take(LONG)!, memory.take(LONG)!];
  expect(third.buffer).toBe(first.buffer);
  expect(new Set([first, other, fourth].map((piece) => piece.buffer)).size).toBe(3);
  expect(other.toString('utf8', 0, 5)).toBe('other');
  memory.close();
});

it('keeps no more memory for what is not read than about what it is', () => {
  const memory = new LineMemory(openSync(join(directory, 'memory'), 'r+'));
  for (const length of [1024, 4096, 20_000, 40_000]) {
    const pieces = Array.from({ length: 64 }, () => memory.take(length)!);
    const held = [...new Set(pieces.map((piece) => piece.buffer))].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(held).toBeLessThanOrEqual(2 * 64 * length + 2 * SLOT_BYTES);
  }
  memory.close();
});

it('tells of slots that are free again by halves', async () => {
  ftruncateSync(file, lineMemoryBytes(4));
  const { guest, link } = await sharing(4);
  const process = link.exec(request);
  const { session } = await guest.next(ToGuest.exec);
  process.stdout.resume();
  for (let piece = 0; piece < 7; piece++) guest.send(ToHost.stdout, session, u32(SLOT_BYTES), Flag.memory);
  await turns();
  const told = guest.frames.filter(({ type }) => type === ToGuest.taken).map(({ payload }) => payload.readUInt32LE());
  expect(told).toEqual([2, 4, 6]);
});

it('uses nothing when the guest has not the same memory, and then refuses to look at it', async () => {
  const { guest, link } = await sharing(0);
  const process = link.exec(request);
  const { session } = await guest.next(ToGuest.exec);
  process.stdin.write(Buffer.alloc(5000));
  expect((await guest.next(ToGuest.stdin)).flags).toBe(0);
  let faults = 0;
  link.on('protocol-error', () => {
    faults += 1;
  });
  for (let time = 0; time < 65; time++) guest.send(ToHost.stdout, session, u32(1), Flag.memory);
  await expect.poll(() => faults).toBe(1);
});

it('says once that much was moved, and shares memory from then on', async () => {
  const { guest, link } = await sharing(0);
  let told = 0;
  link.on('bulk', () => {
    told += 1;
  });
  const process = link.exec(request);
  const { session } = await guest.next(ToGuest.exec);
  let read = 0;
  process.stdout.on('data', (piece: Buffer) => {
    read += piece.length;
  });
  for (let sent = 10_000; sent < 3 * 2 ** 20; sent += 10_000) {
    guest.send(ToHost.stdout, session, Buffer.alloc(10_000));
    // More than it may send is a violation.
    while (read < sent) await turns();
  }
  expect(told).toBe(1);

  const sharedNow = link.beginSharing(SLOTS);
  const step = await guest.next(ToGuest.configure);
  expect(step.payload.toString()).toBe(`line-memory=${SLOTS}\0`);
  guest.send(ToHost.result, step.session, u32(0));
  await sharedNow;
  process.stdin.write(Buffer.alloc(5000, 'x'));
  expect(await guest.next(ToGuest.stdin)).toMatchObject({ flags: Flag.memory, payload: u32(5000) });
  expect(slot(0, 5000).equals(Buffer.alloc(5000, 'x'))).toBe(true);
});

it('goes on without memory that the guest cannot map', async () => {
  const { guest, link } = await sharing(0);
  const process = link.exec(request);
  await guest.next(ToGuest.exec);
  const refused = link.beginSharing(SLOTS);
  guest.send(ToHost.result, (await guest.next(ToGuest.configure)).session, u32(19));
  await expect(refused).rejects.toMatchObject({ code: 'internal' });
  process.stdin.write(Buffer.alloc(5000));
  expect((await guest.next(ToGuest.stdin)).flags).toBe(0);
});

it.each([0, SLOT_BYTES + 1, 0xffff_ffff])('drops output of %i bytes in a slot as a violation', async (bytes) => {
  const { guest, link } = await sharing();
  const process = link.exec(request);
  const { session } = await guest.next(ToGuest.exec);
  const refused = new Promise((resolve) => link.once('protocol-error', resolve));
  for (let time = 0; time < 65; time++) guest.send(ToHost.stdout, session, u32(bytes), Flag.memory);
  await refused;
  expect((await buffer(process.stdout)).length).toBe(0);
});

it('copies nothing of a slot that nobody waits for, and frees it', async () => {
  const { guest, link } = await sharing();
  const process = link.exec(request);
  const { session } = await guest.next(ToGuest.exec);
  const copied = vi.spyOn(LineMemory.prototype, 'take');
  try {
    for (let piece = 0; piece < 3; piece++) {
      guest.send(ToHost.stdout, session + 1, u32(SLOT_BYTES), Flag.memory);
      expect((await guest.next(ToGuest.taken)).payload.readUInt32LE()).toBe(piece + 1);
    }
    expect(copied).not.toHaveBeenCalled();
  } finally {
    copied.mockRestore();
  }
  // The next one is where it would be.
  writeSync(file, 'output', (SLOTS + (3 % SLOTS)) * SLOT_BYTES);
  guest.send(ToHost.stdout, session, u32(6), Flag.memory | Flag.eof);
  expect((await buffer(process.stdout)).toString()).toBe('output');
});

it('closes the memory with the link', async () => {
  const { link, opened } = await sharing();
  expect(fstatSync(opened).isFile()).toBe(true);
  link.destroy();
  expect(() => fstatSync(opened)).toThrow('EBADF');
});

// A guest whose VMM writes there, by a thread that it leaves no CPU, keeps the file's lock for minutes.
it('neither writes to the file nor reads it, which it would have to wait for', () => {
  const opened = openSync(join(directory, 'memory'), 'r+');
  const memory = new LineMemory(opened);
  // The same number is another file from here on, which cannot be written to and is empty.
  const other = openSync('/dev/null', 'r');
  koffi.load(null).func('int dup2(int from, int to)')(other, opened);
  expect(memory.put(Buffer.from('input'))).toBe(true);
  expect(slot(0, 5).toString()).toBe('input');
  writeSync(file, 'output', SLOTS * SLOT_BYTES);
  expect(memory.take(6)?.toString()).toBe('output');
  memory.close();
  closeSync(other);
});
