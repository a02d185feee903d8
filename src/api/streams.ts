/** The WebSocket streams: attach, exec and console, with back-pressure both ways. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex, Readable, Writable } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { validate } from '../core/validate.ts';
import type { GuestProcess } from '../guest/index.ts';
import type { Instance } from '../instance/contract.ts';
import { checkCommand, checkUser, exitOfProcess } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { ApiContext } from './context.ts';
import { errorAnswer, refuseRaw } from './errors.ts';
import { requests } from './schemas.ts';
import { CHANNEL, frame, HIGH_WATER_BYTES, MESSAGE_BYTES } from './stream-frames.ts';
import type { ExecRequest, StreamCommand, StreamExit, StreamNotice } from './types.ts';

const ROUTE = /^\/v1\/instances\/([^/?]{1,300})\/(attach|exec|console)(?:\?|$)/;
/** How long a client may take to say what to execute. */
const FIRST_MESSAGE_MS = 10_000;
/** How often a client that is not read from is checked for life. */
const PROBE_MS = 1_000;

type Kind = 'attach' | 'exec' | 'console';

/** Serves the streams on `server`. Returns what ends all of them. */
export function serveStreams(server: Server, context: ApiContext): () => void {
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES + 1,
    skipUTF8Validation: true,
  });
  server.on('upgrade', (request: IncomingMessage, connection: Duplex, head: Buffer) => {
    connection.on('error', () => {});
    let target: { instance: Instance; kind: Kind };
    try {
      target = findTarget(request.url ?? '', context);
    } catch (error) {
      return refuseRaw(connection, error, context);
    }
    sockets.handleUpgrade(request, connection, head, (socket) => {
      socket.on('error', () => {});
      const stream = new Stream(socket, context);
      SERVE[target.kind](stream, target.instance, context).catch((error) => stream.fail(error));
    });
  });
  return () => {
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
  };
}

const SERVE: Record<Kind, (stream: Stream, instance: Instance, context: ApiContext) => Promise<void>> = {
  async attach(stream, instance, context) {
    if (instance.record.spec.attached) return attachForeground(stream, instance, context);
    return watchDetached(stream, instance);
  },

  async exec(stream, instance) {
    const request = validate(requests.exec, await stream.firstMessage(), { name: 'the exec request' }) as ExecRequest;
    const { spec } = instance.record;
    const env = { ...(request.user === undefined ? spec.env : ofNobody(spec.env)), ...request.env };
    checkCommand(request.command, env);
    checkUser(request.user);
    const { memoryBytes } = spec;
    const asked = { command: request.command, cwd: request.cwd ?? spec.cwd, user: request.user ?? spec.user };
    const process = instance.exec({
      ...asked,
      env: request.tty ? { TERM: 'xterm', ...env } : env,
      cwdOptional: request.cwd === undefined && spec.cwdOptional,
      tty: request.tty ? { rows: request.rows || 24, columns: request.columns || 80 } : undefined,
    });
    stream.onClose(() => process.forget());
    await stream.carry(process);
    const exit = await process.exited;
    const lost = exit.kind === 'failed' && exit.value === 0;
    // What became of the kernel tells more than that the line is gone.
    if (lost) await instance.settled();
    const { exit: last } = instance.record.machine;
    stream.exited(lost && last !== null ? last : exitOfProcess(exit, { ...asked, memoryBytes }));
  },

  async console(stream, instance) {
    const console = await instance.console();
    console.on('error', () => {});
    stream.onClose(() => console.destroy());
    stream.onInput(console);
    await stream.send(CHANNEL.stdout, console);
    stream.close();
  },
};

/** What an environment says of its user is not true of another one. */
function ofNobody({ HOME: _, USER: __, LOGNAME: ___, ...rest }: Readonly<Record<string, string>>) {
  return rest;
}

async function attachForeground(stream: Stream, instance: Instance, context: ApiContext): Promise<void> {
  const foreground = instance.attachForeground((phase) => stream.notify({ phase }));
  stream.onClose(() => foreground.leave());
  // A kernel that never gets as far as the workload ends without one.
  const process = await Promise.race([foreground.process, foreground.ended.then(() => undefined)]);
  if (process !== undefined) await stream.carry(process);
  const exit = await foreground.ended;
  if (exit.reason === 'not-ready') stream.fail(new PolykernelError('not-ready', exit.message));
  else stream.exited(exit);
  context.supervisor.clientServed(instance);
}

/** A client that looks on: it cannot hold the workload back, so one that does not read is let go. */
async function watchDetached(stream: Stream, instance: Instance): Promise<void> {
  const { main } = instance;
  if (main === undefined) {
    throw new PolykernelError(
      'conflict',
      `${instance.name} is ${instance.state}: no workload runs that could be attached to`,
      {
        field: 'name',
        value: instance.name,
        hint: instance.state === 'exited' ? `See its output with pk logs ${instance.name}.` : undefined,
      },
    );
  }
  const stopWatching = instance.watch((channel, chunk) =>
    stream.offer(channel === 'out' ? CHANNEL.stdout : CHANNEL.stderr, chunk),
  );
  stream.onClose(stopWatching);
  if (instance.record.spec.tty) stream.onInput(main.stdin, { keepOpen: true });
  stream.onCommand(main);
  stream.tellStarted(main);
  await new Promise<void>((resolve) => {
    stream.onClose(resolve);
    stream.onClose(onExit(main, resolve));
  });
  if (!stream.open) return;
  await instance.settled();
  const exit = instance.record.machine.ending ?? instance.record.machine.exit;
  if (exit !== null) stream.exited(exit);
  else stream.close();
}

const leavers = new WeakMap<GuestProcess, Set<() => void>>();

/**
 * Calls `action` once the process has ended, unless what it returns was called before: a promise would remember everybody who
 * ever waited, for as long as the process runs.
 */
function onExit(process: GuestProcess, action: () => void): () => void {
  let actions = leavers.get(process);
  if (actions === undefined) {
    const all = new Set<() => void>();
    leavers.set(process, all);
    actions = all;
    void process.exited.then(() => {
      for (const each of all) each();
    });
  }
  actions.add(action);
  return () => actions.delete(action);
}

/** One WebSocket as the server sees it. */
class Stream {
  readonly #socket: WebSocket;
  readonly #context: ApiContext;
  #held = false;
  #probe: NodeJS.Timeout | undefined;
  #input: ((bytes: Buffer) => void) | undefined;
  #command: ((command: StreamCommand) => void) | undefined;
  #first: ((text: string) => void) | undefined;
  /** Input that came before there was a process to take it. */
  #early: Buffer[] = [];
  #earlyCommands: StreamCommand[] = [];

  constructor(socket: WebSocket, context: ApiContext) {
    this.#socket = socket;
    this.#context = context;
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

  notify(notice: StreamNotice): void {
    if (this.open) this.#socket.send(JSON.stringify(notice));
  }

  exited(exit: StreamExit): void {
    const { reason, exitCode, message } = exit;
    this.notify({ exited: { reason, exitCode, message } });
    this.close();
  }

  fail(error: unknown): void {
    this.notify(errorAnswer(error, this.#context).body);
    this.close();
  }

  close(): void {
    // The client's answer to it must be read.
    this.#release();
    this.#socket.close(1000);
  }

  /** Wires a process to the socket; resolves when both its outputs have been sent. */
  async carry(process: GuestProcess): Promise<void> {
    this.onInput(process.stdin);
    this.onCommand(process);
    this.tellStarted(process);
    await Promise.all([this.send(CHANNEL.stdout, process.stdout), this.send(CHANNEL.stderr, process.stderr)]);
  }

  tellStarted(process: GuestProcess): void {
    process.started.then((pid) => this.notify({ started: { pid, isElsewhere: process.isElsewhere } })).catch(() => {});
  }

  onCommand(process: Pick<GuestProcess, 'signal' | 'resize'>): void {
    this.#command = (command) => {
      if ('signal' in command) process.signal(command.signal);
      if ('resize' in command) process.resize(command.resize.rows, command.resize.columns);
    };
    for (const command of this.#earlyCommands.splice(0)) this.#command(command);
  }

  /** Gives input to `target` at its own pace: while it is full the socket is not read. */
  onInput(target: Writable, options: { keepOpen?: boolean } = {}): void {
    this.#input = (bytes) => {
      if (target.writableEnded || target.destroyed) return;
      if (bytes.length > 0) target.write(bytes);
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
    } else if (this.open) this.#socket.send(frame(channel, chunk));
  }

  #sendPaced(channel: number, chunk: Buffer): Promise<void> {
    const message = frame(channel, chunk);
    if (this.#socket.bufferedAmount < HIGH_WATER_BYTES) {
      this.#socket.send(message);
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      // The callback comes when this message is with the kernel, or could not be sent any more.
      this.#socket.send(message, () => resolve());
    });
  }

  #receive(data: Buffer, binary: boolean): void {
    if (binary) {
      if (data[0] !== CHANNEL.stdin) throw new PolykernelError('protocol', `clients send on channel 0, not ${data[0]}`);
      const bytes = data.subarray(1);
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
    const command = validate(requests.streamCommand, message, { name: 'the message' }) as StreamCommand;
    if (this.#command !== undefined) this.#command(command);
    else if (this.#earlyCommands.length < 64) this.#earlyCommands.push(command);
  }

  #hold(): void {
    if (this.#held) return;
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

function findTarget(url: string, context: ApiContext): { instance: Instance; kind: Kind } {
  const [, name, kind] = ROUTE.exec(url) ?? [];
  if (name === undefined) throw new PolykernelError('not-found', `there is no stream at ${url.slice(0, 200)}`);
  try {
    return { instance: context.supervisor.get(decodeURIComponent(name)), kind: kind as Kind };
  } catch (error) {
    throw error instanceof URIError
      ? new PolykernelError('invalid', 'the name is not properly encoded', { field: 'name' })
      : error;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new PolykernelError('protocol', 'a text message is not JSON');
  }
}
