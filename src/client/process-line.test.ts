import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Line, ProcessInput } from './process-line.ts';

const PIECE = 128 * 1024;

/** A socket that keeps what it is sent; `passOn` has the kernel take it. */
class Socket {
  readyState: number = WebSocket.OPEN;
  sent: Buffer[] = [];
  #callbacks: (() => void)[] = [];

  send(message: Buffer, callback: () => void): void {
    this.sent.push(message);
    this.#callbacks.push(callback);
  }

  passOn(): void {
    for (const callback of this.#callbacks.splice(0)) callback();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.sent.map((message) => message.subarray(1)));
  }
}

const started = () => {
  const socket = new Socket();
  const line = new Line(socket as unknown as WebSocket);
  return { socket, line, input: new ProcessInput(line) };
};

const much = (): Buffer => Buffer.from(Array.from({ length: 20 * 2 ** 20 }, (_, at) => at % 251));

test('however much is written at once waits with its writer, and a next daemon can go on with it', () => {
  const { socket, input } = started();
  const data = much();
  let isDone = false;
  input.stream.write(data, () => {
    isDone = true;
  });
  expect(socket.sent.length).toBeLessThan(8);
  while (socket.bytes.length < data.length) {
    expect(isDone).toBe(false);
    socket.passOn();
    input.kept.taken(socket.bytes.length - PIECE);
  }
  expect(socket.bytes.equals(data)).toBe(true);
  expect(input.kept.isWhole).toBe(true);
  socket.passOn();
  return expect.poll(() => isDone).toBe(true);
});

test('what was on its way to a daemon that is gone goes to the next one, and what was not after it, once', () => {
  const { socket, line, input } = started();
  const data = much().subarray(0, 8 * PIECE + 5);
  input.stream.end(data);
  socket.passOn();
  input.kept.taken(PIECE + 7);
  const before = socket.bytes.length;
  socket.readyState = WebSocket.CLOSED;
  input.hold();
  const next = new Socket();
  line.replace(next as unknown as WebSocket);
  expect(input.goOn()).toBe(true);
  // Of the one before.
  socket.passOn();
  expect(socket.bytes.length).toBe(before);
  for (let time = 0; time < 10; time++) next.passOn();
  expect(next.bytes.equals(data.subarray(PIECE + 7))).toBe(true);
  const ends = () => {
    next.passOn();
    return next.sent.filter(({ length }) => length === 1).length;
  };
  return expect.poll(ends).toBe(1);
});

test('nobody waits for a daemon that does not come', async () => {
  const { socket, input } = started();
  let isDone = false;
  input.stream.write(much(), () => {
    isDone = true;
  });
  socket.readyState = WebSocket.CLOSED;
  socket.passOn();
  input.end();
  await expect.poll(() => isDone).toBe(true);
});
