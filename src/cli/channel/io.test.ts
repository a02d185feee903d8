import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  attachConsumer,
  attachProducer,
  type Consumer,
  createRing,
  type Producer,
  readStatistics,
  ringBytes,
  SharedMemory,
} from '../../ring/index.ts';
import { parseTimeout, type ReceiveOptions, receiveAll, sendAll } from './io.ts';

let memory: SharedMemory;
let producer: Producer;
let consumer: Consumer;
const never = new AbortController().signal;

beforeEach(() => {
  memory = SharedMemory.anonymous('channel-io', ringBytes(4096));
  createRing(memory);
  producer = attachProducer(memory);
  consumer = attachConsumer(memory);
});
afterEach(() => {
  producer[Symbol.dispose]();
  consumer[Symbol.dispose]();
  memory[Symbol.dispose]();
});

const input = (...chunks: string[]) => Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
const waiting = () => [...consumer].map((bytes) => Buffer.from(bytes).toString());

describe('sending', () => {
  it.each([
    [['a\nb\n'], ['a', 'b']],
    [
      ['a\n', '\n', 'last'],
      ['a', '', 'last'],
    ],
    [
      ['sp', 'li', 't\nx', '\n'],
      ['split', 'x'],
    ],
    [['cr\r\n'], ['cr\r']],
    [['é'], ['é']],
    [[], []],
  ])('makes messages of the lines of %j', async (chunks, messages) => {
    await sendAll(producer, input(...chunks), {}, never);
    expect(waiting()).toEqual(messages);
  });

  it('makes messages of chunks, cut to the largest', async () => {
    const { largest } = producer;
    await sendAll(producer, input('a\nb', 'x'.repeat(largest + 1)), { raw: true }, never);
    expect(waiting().map((text) => text.length)).toEqual([3, largest, 1]);
  });

  it('refuses a line that no message can hold, after those before it', async () => {
    const { largest } = producer;
    await expect(
      sendAll(producer, input(`a\n${'x'.repeat(largest)}`, 'x', 'never looked at\n'), {}, never),
    ).rejects.toMatchObject({
      code: 'invalid',
      field: 'standard input',
      value: 'line 2',
      message: expect.stringContaining(`${largest} bytes`),
      hint: expect.stringContaining('--raw'),
    });
    expect(waiting()).toEqual(['a']);
  });

  it('waits while the channel is full, until it is interrupted', async () => {
    const interrupt = new AbortController();
    const reason = new Error('interrupted');
    const full = input(...Array.from({ length: 100 }, () => `${'x'.repeat(99)}\n`));
    const sending = sendAll(producer, full, {}, interrupt.signal);
    const outcome = expect(sending).rejects.toBe(reason);
    await until(() => readStatistics(memory).producer.asleep);
    interrupt.abort(reason);
    await outcome;
    expect(waiting().length).toBeLessThan(100);
  });

  it('is interrupted while there is no input', async () => {
    const interrupt = new AbortController();
    const reason = new Error('interrupted');
    const sending = sendAll(producer, new Readable({ read() {} }), {}, interrupt.signal);
    interrupt.abort(reason);
    await expect(sending).rejects.toBe(reason);
  });
});

describe('receiving', () => {
  const send = (...texts: string[]) => {
    for (const text of texts) producer.send(Buffer.from(text));
  };
  async function receive(options: ReceiveOptions = {}, signal = never) {
    const written: string[] = [];
    const outcome = await receiveAll(
      consumer,
      async (data) => {
        written.push(Buffer.from(data).toString());
      },
      options,
      signal,
    );
    return { outcome, written };
  }

  it('ends with the stream', async () => {
    send('a', '', 'b');
    producer.close();
    expect(await receive()).toEqual({ outcome: 'closed', written: ['a\n', '\n', 'b\n'] });
  });

  it('gives only the bytes when raw', async () => {
    send('a', '', 'b\n');
    producer.close();
    expect(await receive({ raw: true })).toEqual({ outcome: 'closed', written: ['a', '', 'b\n'] });
  });

  it('ends after a number of messages and leaves the others', async () => {
    send('a', 'b', 'c');
    expect(await receive({ count: 2, timeoutMs: 0 })).toEqual({ outcome: 'counted', written: ['a\n', 'b\n'] });
    expect(waiting()).toEqual(['c']);
  });

  it('ends when no message comes in time', async () => {
    send('a');
    expect(await receive({ timeoutMs: 1 })).toEqual({ outcome: 'timeout', written: ['a\n'] });
    producer.close();
    expect(await receive({ timeoutMs: 1, follow: true })).toEqual({ outcome: 'timeout', written: [] });
  });

  it('goes on with the next sender when it is to follow', async () => {
    send('a');
    producer.close();
    const receiving = receive({ follow: true, count: 2 });
    await until(() => readStatistics(memory).consumer.messages === 1n);
    producer = attachProducer(memory);
    send('b');
    expect(await receiving).toEqual({ outcome: 'counted', written: ['a\n', 'b\n'] });
  });

  it('gives a message back only once it is written', async () => {
    send('a', 'b');
    const write = Promise.withResolvers<void>();
    const receiving = receiveAll(consumer, () => write.promise, { count: 1 }, never);
    await Promise.resolve();
    expect(readStatistics(memory).consumer.messages).toBe(0n);
    write.reject(new Error('the disk is full'));
    await expect(receiving).rejects.toThrow('the disk is full');
    consumer[Symbol.dispose]();
    consumer = attachConsumer(memory);
    expect(waiting()).toEqual(['a', 'b']);
  });

  it('is interrupted while nothing comes', async () => {
    const interrupt = new AbortController();
    const reason = new Error('interrupted');
    const outcome = expect(receive({ timeoutMs: 60_000 }, interrupt.signal)).rejects.toBe(reason);
    await until(() => readStatistics(memory).consumer.asleep);
    interrupt.abort(reason);
    await outcome;
  });

  it('tells the fault of a broken channel', async () => {
    new Int32Array(memory.buffer)[4096 / 4] = 5;
    await expect(receive()).rejects.toMatchObject({ code: 'protocol' });
  });
});

it.each([
  ['5', 5000],
  ['0.25', 250],
  ['0', 0],
  ['500ms', 500],
  ['1m', 60_000],
])('reads a time-out of %s', (text, milliseconds) => expect(parseTimeout(text)).toBe(milliseconds));

it.each(['soon', '-1', '99d'])('refuses a time-out of %s', (text) => {
  expect(() => parseTimeout(text)).toThrow(/--timeout: ".*" is/);
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}
