/** What was paused for its memory goes on, whatever becomes of who asked for it. */
import { setImmediate as immediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { MemorySource } from '../driver/index.ts';
import { MemoryReader } from './memory.ts';

type Held = Parameters<MemoryReader['read']>[0];

function instance(source: (signal: AbortSignal) => AsyncGenerator<Buffer>) {
  const done: string[] = [];
  const memory: MemorySource = { mostBytes: 100, read: async (signal) => source(signal) };
  const held = {
    name: 'web',
    state: 'running' as Held['state'],
    memory: memory as MemorySource | null,
    pause: async (briefly?: boolean) => {
      done.push(briefly ? 'paused' : 'paused for good');
      held.state = 'paused';
    },
    resume: async () => {
      done.push('resumed');
      held.state = 'running';
    },
  };
  return { held, done };
}

const never = new AbortController().signal;

async function* threePieces(): AsyncGenerator<Buffer> {
  for (const text of ['one', 'two', 'three']) yield Buffer.from(text);
}

/** Says nothing until it is told to end. */
async function* silent(signal: AbortSignal): AsyncGenerator<Buffer> {
  yield Buffer.from('one');
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  signal.throwIfAborted();
}

it('all of it comes, and it goes on before the end is told', async () => {
  const { held, done } = instance(threePieces);
  const stream = await new MemoryReader().read(held, never);
  stream.once('end', () => done.push('ended'));
  expect(Buffer.concat(await stream.toArray()).toString()).toBe('onetwothree');
  expect(done).toEqual(['paused', 'resumed', 'ended']);
});

it.each(['before the first byte', 'in the middle'])('somebody who leaves %s does not leave it paused', async (when) => {
  const { held, done } = instance(silent);
  const reader = new MemoryReader();
  const stream = await reader.read(held, never);
  if (when === 'in the middle') await new Promise((resolve) => stream.once('data', resolve));
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.destroy();
  await closed;
  expect(done).toEqual(['paused', 'resumed']);
  const again = await reader.read(held, never);
  again.destroy();
});

it('a source that fails fails the stream, and it goes on', async () => {
  const { held, done } = instance(async function* () {
    yield Buffer.from('one');
    throw new Error('no more');
  });
  const stream = await new MemoryReader().read(held, never);
  await expect(stream.toArray()).rejects.toThrow('no more');
  expect(done).toEqual(['paused', 'resumed']);
});

it('one that cannot be paused is read as it runs, and one that was paused stays so', async () => {
  const hung = instance(threePieces);
  hung.held.pause = () => Promise.reject(new Error('no answer'));
  await (await new MemoryReader().read(hung.held, never)).toArray();
  expect(hung.done).toEqual([]);
  const paused = instance(threePieces);
  paused.held.state = 'paused';
  await (await new MemoryReader().read(paused.held, never)).toArray();
  expect(paused.done).toEqual([]);
});

it.each([
  [
    'nothing at all',
    async function* (signal: AbortSignal): AsyncGenerator<Buffer> {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      signal.throwIfAborted();
    },
  ],
  [
    'a byte at a time, without end',
    async function* (): AsyncGenerator<Buffer> {
      for (;;) {
        await immediate();
        yield Buffer.from('x');
      }
    },
  ],
])('a kernel that gives %s has a deadline, after which that of another is read', async (_, source) => {
  const { held, done } = instance(source);
  const reader = new MemoryReader(20);
  await expect(
    (async () => {
      for await (const _piece of await reader.read(held, never));
    })(),
  ).rejects.toMatchObject({ code: 'internal' });
  expect(done).toEqual(['paused', 'resumed']);
  const other = instance(threePieces);
  const next = await reader.read(other.held, never);
  next.on('error', () => {}).destroy();
});

it('one at a time, and only where there is memory', async () => {
  const { held } = instance(silent);
  const reader = new MemoryReader();
  const stream = await reader.read(held, never);
  await expect(reader.read(held, never)).rejects.toMatchObject({ code: 'conflict' });
  stream.destroy();
  await expect(new MemoryReader().read({ ...held, memory: null }, never)).rejects.toMatchObject({
    code: 'unsupported',
  });
});
