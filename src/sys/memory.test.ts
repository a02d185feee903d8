import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, expect, test } from 'vitest';
import { letGoOfProgram, letGoOfShared, SharedMemory } from './memory.ts';

const directory = mkdtempSync(join(tmpdir(), 'pk-memory-'));
const path = join(directory, 'shared');
afterEach(() => rmSync(path, { force: true }));
afterAll(() => rmSync(directory, { recursive: true }));

test('two mappings of a file are one memory', () => {
  using one = SharedMemory.create(path, 8192);
  using other = SharedMemory.open(path);
  new Uint8Array(one.buffer)[8191] = 7;
  expect(new Uint8Array(other.buffer)[8191]).toBe(7);
  expect(() => SharedMemory.create(path, 8192)).toThrow(/exists already/);
  expect(() => SharedMemory.open(join(directory, 'absent'))).toThrow(/there is no/);
});

test('what is let go of is no memory of this process until it is touched, and keeps what is in it', () => {
  using memory = SharedMemory.anonymous('test', 8 * 2 ** 20);
  const bytes = new Uint8Array(memory.buffer);
  bytes.fill(7);
  const sharedKib = () => Number(/^RssShmem:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))![1]);
  const before = sharedKib();
  letGoOfShared();
  expect(before - sharedKib()).toBeGreaterThan(7 * 1024);
  expect(bytes.every((byte) => byte === 7)).toBe(true);
});

test('use after unmapping is an error', () => {
  const memory = SharedMemory.create(path, 4096);
  const words = new Int32Array(memory.buffer);
  memory[Symbol.dispose]();
  expect(words.length).toBe(0);
  expect(() => Atomics.load(words, 0)).toThrow(TypeError);
  expect(() => memory.buffer).toThrow(/no longer mapped/);
  expect(() => memory.futexWake(0)).toThrow(/no 32-bit word/);
  memory[Symbol.dispose]();
});

test('no peer can truncate anonymous memory', () => {
  using memory = SharedMemory.anonymous('test', 4096);
  expect(() => truncateSync(`/proc/self/fd/${memory.fd}`, 0)).toThrow(/EPERM/);
  using again = SharedMemory.open(`/proc/self/fd/${memory.fd}`);
  new Uint8Array(again.buffer)[0] = 1;
  expect(new Uint8Array(memory.buffer)[0]).toBe(1);
});

test('a futex wait ends by a changed word, a time limit or a wake', async () => {
  using memory = SharedMemory.anonymous('test', 4096);
  const words = new Int32Array(memory.buffer);
  expect(memory.futexWait(0, 1)).toBe('changed');
  expect(memory.futexWait(0, 0, 1)).toBe('timeout');
  expect(memory.futexWake(0)).toBe(0);
  expect(() => memory.futexWait(4095, 0)).toThrow(/no 32-bit word/);
  const source = `
    const { workerData, parentPort } = require('node:worker_threads');
    import(workerData.module).then(({ futexWaitAt }) => parentPort.postMessage(futexWaitAt(workerData.address, 0)));`;
  const module = new URL('./memory.ts', import.meta.url).href;
  const worker = new Worker(source, { eval: true, workerData: { module, address: memory.addressOf(64) } });
  const result = new Promise((resolve) => worker.once('message', resolve));
  while (memory.futexWake(64) === 0) await new Promise(setImmediate);
  expect(await result).toBe('woken');
  expect(words[16]).toBe(0);
  await worker.terminate();
});

test("Node's own code and constants are taken from the page tables, and comes back as it is run", () => {
  const fileKib = () => Number(/^RssFile:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]);
  const before = fileKib();
  letGoOfProgram();
  expect(fileKib()).toBeLessThan(before - 1024);
  const constants = /-\w+ r--p .*\/node\nSize: +\d{5,} kB[^/]*?Rss: +(\d+) kB/.exec(
    readFileSync('/proc/self/smaps', 'latin1'),
  );
  expect(Number(constants?.[1])).toBeLessThan(8 * 1024);
  expect([3, 1, 2].toSorted()).toEqual([1, 2, 3]);
});
