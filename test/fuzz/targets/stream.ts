/** What a client sends on the WebSocket streams. */
import { EventEmitter } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import { Duplex, PassThrough } from 'node:stream';
import { serveStreams } from '../../../src/core/serve-streams.ts';
import { LineWriter } from '../../../src/guest/line.ts';
import { GuestProcess } from '../../../src/guest/process.ts';
import { instanceStreams } from '../../../src/instance/streams.ts';
import type { Supervisor } from '../../../src/instance/supervisor.ts';
import { must, type Target } from '../target.ts';

class Connection extends Duplex {
  written = 0;
  override _read() {}
  override _write(chunk: Buffer, _encoding: string, done: () => void) {
    this.written += chunk.length;
    done();
  }
  setTimeout() {}
  setNoDelay() {}
}

let complaint: unknown;
const line = new LineWriter(() => {});
const instance = {
  record: { spec: { env: {}, cwd: '/', user: '0', attached: false, tty: false }, machine: { exit: null } },
  exec: () => new GuestProcess(1, line, { onForget() {}, onTold() {}, lend: () => false, onReturn() {} }),
  goOn: () => new GuestProcess(1, line, { onForget() {}, onTold() {}, lend: () => false, onReturn() {} }),
  carry: () => () => {},
  console: async () => new PassThrough(),
  settled: async () => {},
};
const supervisor = { get: () => instance } as unknown as Supervisor;
const serving = {
  complain: (_text: string, error: unknown) => {
    complaint = error;
  },
};
const server = new EventEmitter();
serveStreams(server as Server, instanceStreams(supervisor, serving), serving);

/** In an input this stands for bytes as they are: a length follows. */
const RAW = 0xff;

/** FIRST LENGTH(2) PAYLOAD becomes a frame with that first byte, masked with zeros; RAW LENGTH(2) BYTES goes as it is. */
function* frames(input: Buffer): Generator<Buffer> {
  for (let at = 1; at + 3 <= input.length; ) {
    const length = input.readUInt16LE(at + 1) % 4097;
    const bytes = input.subarray(at + 3, at + 3 + length);
    const size = Buffer.from([0x80 | 126, bytes.length >> 8, bytes.length & 255, 0, 0, 0, 0]);
    yield input[at] === RAW ? bytes : Buffer.concat([input.subarray(at, at + 1), size, bytes]);
    at += 3 + length;
  }
}

const text = (value: string) =>
  Buffer.concat([Buffer.from([0x81, value.length & 255, value.length >> 8]), Buffer.from(value)]);

/** The first byte chooses the stream. */
const streams: Target = {
  name: 'websocket',
  dictionary: [
    ...[
      '{"command":["sh"],"tty":true}',
      '{"signal":15}',
      '{"resize":{"rows":24,"columns":80}}',
      '{"command":[]}',
      'null',
    ].map(text),
    ...[
      [0x82, 3, 0, 0, 65, 66],
      [0x82, 1, 0, 0],
      [0x82, 2, 0, 1, 65],
      [0x88, 2, 0, 3, 232],
      [0x89, 0, 0],
      [0x02, 1, 0, 0],
      [0x80, 1, 0, 65],
    ].map((bytes) => Buffer.from(bytes)),
    ...['"env":{"A":"b"}', '"cwd":"/"', '"uid":0', '{', '}'],
  ],
  maxBytes: 2048,
  steps: { base: 20_000, perByte: 2000 },
  async run(input) {
    complaint = undefined;
    const connection = new Connection();
    const kind = ['exec', 'console', 'attach', 'other'][(input[0] ?? 0) % 4];
    const request = {
      method: 'GET',
      url: `/v1/instances/web/${kind}`,
      headers: { upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' },
      socket: connection,
    } as unknown as IncomingMessage;
    server.emit('upgrade', request, connection, Buffer.alloc(0));
    for (const frame of frames(input)) connection.push(frame);
    connection.push(null);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    connection.destroy();
    if (complaint !== undefined) throw complaint;
    must(connection.written < 4096 + 64 * input.length, 'answers are in proportion');
    return connection.written;
  },
};

export const streamTargets: readonly Target[] = [streams];
