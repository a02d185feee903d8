/** The streams of an instance: attach, exec and console. */
import type { WebSocket } from 'ws';
import type { Serving } from '../core/http-errors.ts';
import type { FindStream } from '../core/serve-streams.ts';
import { Stream } from '../core/stream.ts';
import { CHANNEL } from '../core/stream-frames.ts';
import { validate } from '../core/validate.ts';
import type { GuestProcess } from '../guest/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { carryInput } from './carried.ts';
import { exitOfProcess } from './exits.ts';
import { type Instance, TAKING_OVER } from './instance.ts';
import { type ExecRequest, execRequest, type StreamCommand, streamCommand } from './requests.ts';
import { checkCommand, checkUser } from './schema.ts';
import type { StreamExit, StreamNotice } from './stream-messages.ts';
import type { Supervisor } from './supervisor.ts';

const ROUTE = /^\/v1\/instances\/([^/?]{1,300})\/(attach|exec|console)(?:\?(?:session=(\d{1,10})$)?|$)/;

type Kind = 'attach' | 'exec' | 'console';
type ProcessStream = Stream<StreamCommand>;
type Served = Pick<Supervisor, 'get' | 'clientServed'>;

/** Serves the streams of `supervisor`'s instances. */
export function instanceStreams(supervisor: Served, serving: Pick<Serving, 'complain'>): FindStream {
  return (url) => {
    const { instance, kind, session } = findTarget(url, supervisor);
    return (socket: WebSocket) => {
      const stream = new Stream(socket, asCommand, serving);
      SERVE[kind](stream, instance, supervisor, session).catch((error) => stream.fail(error));
    };
  };
}

const asCommand = (message: unknown) => validate(streamCommand, message, { name: 'the message' }) as StreamCommand;

/** `session`: of an earlier daemon, with which a client of attach goes on. */
type Serve = (stream: ProcessStream, instance: Instance, supervisor: Served, session: number | null) => Promise<void>;

const SERVE: Record<Kind, Serve> = {
  async attach(stream, instance, supervisor, session) {
    if (instance.record.spec.attached) return attachForeground(stream, instance, supervisor, session);
    await taken(stream, instance);
    return watchDetached(stream, instance);
  },

  async exec(stream, instance) {
    const request = validate(execRequest, await stream.firstMessage(), { name: 'the exec request' }) as ExecRequest;
    const { spec } = instance.record;
    const env = { ...(request.user === undefined ? spec.env : ofNobody(spec.env)), ...request.env };
    checkCommand(request.command, env);
    checkUser(request.user);
    const { memoryBytes } = spec;
    const asked = { command: request.command, cwd: request.cwd ?? spec.cwd, user: request.user ?? spec.user };
    const start = () =>
      instance.exec({
        ...asked,
        env: request.tty ? { TERM: 'xterm', ...env } : env,
        cwdOptional: request.cwd === undefined && spec.cwdOptional,
        merged: request.merged,
        detached: request.detached,
        tty: request.tty ? { rows: request.rows || 24, columns: request.columns || 80 } : undefined,
      });
    await taken(stream, instance);
    const process = await (request.session === undefined ? start() : instance.goOn(request.session));
    if (request.session !== undefined) tell(stream, { found: process.counts ?? null });
    // Of one that is handed over its guest is told no more.
    stream.onClose(() => process.forget());
    stream.onClose(instance.carry(carryInput(stream, process)));
    await output(stream, process);
    const exit = await process.exited;
    const lost = exit.kind === 'failed' && exit.value === 0;
    // What became of the kernel tells more than that the line is gone.
    if (lost) await instance.settled();
    const { exit: last } = instance.record.machine;
    exited(stream, lost && last !== null ? last : exitOfProcess(exit, { ...asked, memoryBytes }));
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

/** Its kernel has answered this daemon; a client that waits for that is told so. Rejects as Instance.takenOver(). */
async function taken(stream: ProcessStream, instance: Instance): Promise<void> {
  if (!instance.isTakingOver) return;
  tell(stream, { phase: TAKING_OVER });
  const gone = new AbortController();
  stream.onClose(() => gone.abort(new PolykernelError('unavailable', 'the client went away')));
  await instance.takenOver(gone.signal);
}

/** What an environment says of its user is not true of another one. */
function ofNobody({ HOME: _, USER: __, LOGNAME: ___, ...rest }: Readonly<Record<string, string>>) {
  return rest;
}

async function attachForeground(
  stream: ProcessStream,
  instance: Instance,
  supervisor: Served,
  session: number | null,
): Promise<void> {
  const foreground = instance.attachForeground((phase) => tell(stream, { phase }), session);
  stream.onClose(() => foreground.leave());
  // A kernel that never gets as far as the workload ends without one.
  const process = await Promise.race([foreground.process, foreground.ended.then(() => undefined)]);
  if (process !== undefined) {
    if (session !== null) tell(stream, { found: process.counts ?? null });
    stream.onClose(instance.carry(carryInput(stream, process, true)));
    await output(stream, process);
  }
  const exit = await foreground.ended;
  if (exit.reason === 'not-ready') stream.fail(new PolykernelError('not-ready', exit.message));
  else exited(stream, exit);
  supervisor.clientServed(instance);
}

/** A client that looks on: it cannot hold the workload back, so one that does not read is let go. */
async function watchDetached(stream: ProcessStream, instance: Instance): Promise<void> {
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
  obey(stream, main);
  tellStarted(stream, main, false);
  await new Promise<void>((resolve) => {
    stream.onClose(resolve);
    stream.onClose(onExit(main, resolve));
  });
  if (!stream.open) return;
  await instance.settled();
  const exit = instance.record.machine.ending ?? instance.record.machine.exit;
  if (exit !== null) exited(stream, exit);
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

/** Sends what a process says, and passes commands on; resolves when both its outputs have been sent. */
async function output(stream: ProcessStream, process: GuestProcess): Promise<void> {
  obey(stream, process);
  tellStarted(stream, process);
  await Promise.all([stream.send(CHANNEL.stdout, process.stdout), stream.send(CHANNEL.stderr, process.stderr)]);
}

function obey(stream: ProcessStream, process: GuestProcess): void {
  stream.onCommand((command) => {
    if ('signal' in command) process.signal(command.signal);
    if ('resize' in command) process.resize(command.resize.rows, command.resize.columns);
  });
}

/** `canMove`: another daemon can go on with it. */
function tellStarted(stream: ProcessStream, process: GuestProcess, canMove = true): void {
  const session = canMove ? process.session : undefined;
  process.started
    .then((pid) => tell(stream, { started: { pid, isElsewhere: process.isElsewhere, session } }))
    .catch(() => {});
}

function exited(stream: ProcessStream, { reason, exitCode, message }: StreamExit): void {
  tell(stream, { exited: { reason, exitCode, message } });
  stream.close();
}

const tell = (stream: ProcessStream, notice: StreamNotice): void => stream.notify(notice);

function findTarget(url: string, supervisor: Served): { instance: Instance; kind: Kind; session: number | null } {
  const [, name, kind, session] = ROUTE.exec(url) ?? [];
  if (name === undefined) throw new PolykernelError('not-found', `there is no stream at ${url.slice(0, 200)}`);
  try {
    const instance = supervisor.get(decodeURIComponent(name));
    return { instance, kind: kind as Kind, session: session === undefined ? null : Number(session) };
  } catch (error) {
    throw error instanceof URIError
      ? new PolykernelError('invalid', 'the name is not properly encoded', { field: 'name' })
      : error;
  }
}
