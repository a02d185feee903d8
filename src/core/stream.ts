/** A WebSocket with channels of bytes, JSON messages beside them, and back-pressure both ways, as the server sees it. */
import type { Readable, Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import { PolykernelError } from '../sys/errors.ts';
import { countStreamed } from '../sys/node.ts';
import { reuse, withHead } from '../sys/pieces.ts';
import { errorAnswer, type Serving } from './http-errors.ts';
import { CHANNEL, frame, HIGH_WATER_BYTES } from './stream-frames.ts';

/** How long a client may take with its first message. */
const FIRST_MESSAGE_MS = 10_000;
/** How often a client that is not read from is checked for life. */
const PROBE_MS = 1_000;

/** One WebSocket as the server sees it. */
export class Stream<Command> {
  readonly #socket: WebSocket;
  readonly #asCommand: (message: unknown) => Command;
  readonly #serving: Pick<Serving, 'complain'>;
  #held = false;
  #closing = false;
  #probe: NodeJS.Timeout | undefined;
  #input: ((bytes: Buffer) => void) | undefined;
  #command: ((command: Command) => void) | undefined;
  #first: ((text: string) => void) | undefined;
  /** Input that came before there was a process to take it. */
  #early: Buffer[] = [];
  #earlyCommands: Command[] = [];

  /** `asCommand` checks a text message; what it throws ends the stream. */
  constructor(socket: WebSocket, asCommand: (message: unknown) => Command, serving: Pick<Serving, 'complain'>) {
    this.#socket = socket;
    this.#asCommand = asCommand;
    this.#serving = serving;
    socket.on('close', () => clearInterval(this.#probe));
    socket.on('message', (data: Buffer, binary) => {
      try {
        this.#receive(data, binary);
      } catch (error) {
        this.fail(error);
      }
    });
  }

  get open(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** The client has answered to close(), or is gone. */
  get closed(): boolean {
    return this.#socket.readyState === this.#socket.CLOSED;
  }

  /** Bytes that are not with the kernel yet. */
  get unsent(): number {
    return this.#socket.bufferedAmount;
  }

  onClose(action: () => void): void {
    if (this.open) this.#socket.once('close', action);
    else action();
  }

  firstMessage(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new PolykernelError('protocol', 'the client did not say what to execute')),
        FIRST_MESSAGE_MS,
      ).unref();
      this.onClose(() => {
        clearTimeout(late);
        reject(new PolykernelError('protocol', 'the client went away'));
      });
      this.#first = (text) => {
        clearTimeout(late);
        this.#first = undefined;
        resolve(parseJson(text));
      };
    });
  }

  notify(notice: object): void {
    if (this.open) this.#socket.send(JSON.stringify(notice));
  }

  fail(error: unknown): void {
    this.notify(errorAnswer(error, this.#serving).body);
    this.close();
  }

  close(): void {
    // The client's answer to it must be read, and what it sent before: nothing may hold it back again.
    this.#closing = true;
    this.#early = [];
    this.#release();
    this.#socket.close(1000);
  }

  onCommand(act: (command: Command) => void): void {
    this.#command = act;
    for (const command of this.#earlyCommands.splice(0)) act(command);
  }

  /** Gives input to `target` at its own pace: while it is full the socket is not read. `passed` is told of what `target` is done with. */
  onInput(target: Writable, options: { keepOpen?: boolean; passed?: (bytes: number) => void } = {}): void {
    this.#input = (bytes) => {
      if (target.writableEnded || target.destroyed) return;
      if (bytes.length > 0) target.write(bytes, () => options.passed?.(bytes.length));
      else if (!options.keepOpen) target.end();
      // After its end it takes nothing more, and tells of no drain either.
      if (target.writableNeedDrain && !target.writableEnded) this.#hold();
      else this.#release();
    };
    const release = () => this.#release();
    target.on('drain', release).on('close', release);
    // It may outlive many who look on.
    this.onClose(() => target.off('drain', release).off('close', release));
    for (const bytes of this.#early.splice(0)) this.#input(bytes);
    if (!target.writableNeedDrain) this.#release();
  }

  /** Sends all of `source`; while the client does not read, neither do we. Resolves at its end or the socket's. */
  async send(channel: number, source: Readable): Promise<void> {
    try {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        if (!this.open) return;
        await this.#sendPaced(channel, chunk);
      }
    } catch {
      // The guest was lost: told by how it ended.
    }
  }

  /** Sends without waiting; a client that is far behind is let go. */
  offer(channel: number, chunk: Buffer): void {
    if (this.#socket.bufferedAmount > 4 * HIGH_WATER_BYTES) {
      this.fail(
        new PolykernelError('unavailable', 'this client does not read fast enough to look on', {
          hint: 'Use `pk logs -f`.',
        }),
      );
      this.#socket.terminate();
    } else if (this.open) {
      countStreamed(chunk.length);
      this.#socket.send(frame(channel, chunk));
    }
  }

  /** Nobody else has `chunk`, nor will look at it again. */
  #sendPaced(channel: number, chunk: Buffer): Promise<void> {
    countStreamed(chunk.length);
    const message = withHead(channel, chunk);
    // The callback comes when this message is with the kernel, or could not be sent any more.
    if (this.#socket.bufferedAmount < HIGH_WATER_BYTES) {
      this.#socket.send(message, () => reuse(chunk));
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#socket.send(message, () => {
        reuse(chunk);
        resolve();
      });
    });
  }

  #receive(data: Buffer, binary: boolean): void {
    if (this.#closing) return;
    if (binary) {
      if (data[0] !== CHANNEL.stdin) throw new PolykernelError('protocol', `clients send on channel 0, not ${data[0]}`);
      const bytes = data.subarray(1);
      countStreamed(bytes.length);
      if (this.#input !== undefined) this.#input(bytes);
      else this.#keepEarly(bytes);
    } else if (this.#first !== undefined) this.#first(data.toString('utf8'));
    else this.#takeCommand(parseJson(data.toString('utf8')));
  }

  /** The kernel is still booting: what was typed waits, and the client with it. */
  #keepEarly(bytes: Buffer): void {
    this.#early.push(bytes);
    this.#hold();
  }

  #takeCommand(message: unknown): void {
    const command = this.#asCommand(message);
    if (this.#command !== undefined) this.#command(command);
    else if (this.#earlyCommands.length < 64) this.#earlyCommands.push(command);
  }

  #hold(): void {
    if (this.#held || this.#closing) return;
    this.#held = true;
    this.#socket.pause();
    // The end of a client cannot be read while nothing is read: writing to it tells.
    this.#probe = setInterval(() => this.#socket.ping(), PROBE_MS).unref();
  }
  #release(): void {
    if (!this.#held) return;
    this.#held = false;
    clearInterval(this.#probe);
    this.#socket.resume();
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new PolykernelError('protocol', 'a text message is not JSON');
  }
}
