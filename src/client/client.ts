/** The typed client: one method per route of docs/api.md. Every method rejects with PolykernelError. */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type {
  ChannelRequest,
  ChannelStatus,
  CreateRequest,
  DaemonEvent,
  DoctorReport,
  ExecRequest,
  ImageInfo,
  ImportRequest,
  InstanceDetails,
  InstanceStats,
  InstanceStatus,
  LogLine,
  LogQuery,
  MachineReport,
  Plan,
  PoolReport,
  PoolRequest,
  PrewarmRequest,
  ProgressLine,
  ServiceRequest,
  ServiceStatus,
  StackSource,
  StatsSeries,
  TargetChange,
  VersionInfo,
} from '../api/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { type Call, json, lines, send, serverSentEvents } from './http.ts';
import type { RemoteConsole, RemoteProcess, StreamOptions } from './stream.ts';

type Progress = (text: string) => void;

export class Client {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  version(signal?: AbortSignal): Promise<VersionInfo> {
    return this.#json({ path: '/v1/version', signal });
  }
  doctor(signal?: AbortSignal): Promise<DoctorReport> {
    return this.#json({ path: '/v1/doctor', signal });
  }
  async list(signal?: AbortSignal): Promise<InstanceStatus[]> {
    return (await this.#json<{ instances: InstanceStatus[] }>({ path: '/v1/instances', signal })).instances;
  }
  /** Returns once the instance is recorded; booting goes on (see `wait` and `events`). */
  create(request: CreateRequest, signal?: AbortSignal): Promise<InstanceStatus> {
    return this.#json({ method: 'POST', path: '/v1/instances', body: request, signal });
  }
  inspect(name: string, signal?: AbortSignal): Promise<InstanceDetails> {
    return this.#json({ path: instancePath(name), signal });
  }
  async remove(name: string, options: { force?: boolean } = {}): Promise<void> {
    await this.#json({ method: 'DELETE', path: instancePath(name), query: { force: options.force } });
  }
  /** Resolves once the kernel is ready and the workload started. */
  start(name: string, signal?: AbortSignal): Promise<InstanceStatus> {
    return this.#act(name, 'start', {}, signal);
  }
  stop(name: string, options: { graceMs?: number } = {}, signal?: AbortSignal): Promise<InstanceStatus> {
    return this.#act(name, 'stop', options, signal);
  }
  /** Without `signal`, or with 9, the kernel is killed; any other signal number goes to the workload. */
  kill(name: string, options: { signal?: number } = {}): Promise<InstanceStatus> {
    return this.#act(name, 'kill', options);
  }
  pause(name: string): Promise<InstanceStatus> {
    return this.#act(name, 'pause', {});
  }
  resume(name: string): Promise<InstanceStatus> {
    return this.#act(name, 'resume', {});
  }
  restart(name: string, options: { graceMs?: number } = {}, signal?: AbortSignal): Promise<InstanceStatus> {
    return this.#act(name, 'restart', options, signal);
  }
  /** Resolves once the instance is `exited`. */
  wait(name: string, signal?: AbortSignal): Promise<InstanceStatus> {
    return this.#json({ path: `${instancePath(name)}/wait`, signal });
  }

  async *logs(name: string, query: LogQuery = {}, signal?: AbortSignal): AsyncGenerator<LogLine> {
    yield* lines<LogLine>(await this.#send({ path: `${instancePath(name)}/logs`, query: { ...query }, signal }));
  }
  /** Events from now on, or from after the event numbered `since`. Ends only by the signal or with the daemon. */
  async *events(options: { since?: number } = {}, signal?: AbortSignal): AsyncGenerator<DaemonEvent> {
    yield* serverSentEvents<DaemonEvent>(await this.#send({ path: '/v1/events', query: options, signal }));
  }

  /** The latest numbers of all instances. */
  async stats(signal?: AbortSignal): Promise<InstanceStats[]> {
    return (await this.#json<{ instances: InstanceStats[] }>({ path: '/v1/stats', signal })).instances;
  }
  /** Numbers over time; `since` and `step` as durations, such as `10m`. */
  statsSeries(name: string, query: { since?: string; step?: string } = {}, signal?: AbortSignal): Promise<StatsSeries> {
    return this.#json({ path: `${instancePath(name)}/stats`, query, signal });
  }
  /** In the text format of Prometheus. */
  async metrics(): Promise<string> {
    const response = await this.#send({ path: '/metrics' });
    return (await response.setEncoding('utf8').toArray()).join('');
  }

  /** Writes a file in the guest. `mode` in octal digits, such as "0644". */
  async putFile(
    name: string,
    path: string,
    content: Readable | Uint8Array,
    options: { mode?: string } = {},
  ): Promise<void> {
    await this.#json({ method: 'PUT', path: `${instancePath(name)}/files`, query: { path, ...options }, raw: content });
  }
  /** The content of a file in the guest. An error after the first byte destroys the stream. */
  getFile(name: string, path: string, signal?: AbortSignal): Promise<Readable> {
    return this.#send({ path: `${instancePath(name)}/files`, query: { path }, signal });
  }

  async images(signal?: AbortSignal): Promise<ImageInfo[]> {
    return (await this.#json<{ images: ImageInfo[] }>({ path: '/v1/images', signal })).images;
  }
  pullImage(name: string, progress?: Progress, signal?: AbortSignal): Promise<ImageInfo> {
    return this.#long({ method: 'POST', path: '/v1/images/pull', body: { name }, signal }, progress);
  }
  importImage(request: ImportRequest, progress?: Progress, signal?: AbortSignal): Promise<ImageInfo> {
    return this.#long({ method: 'POST', path: '/v1/images/import', body: request, signal }, progress);
  }
  async removeImage(name: string): Promise<void> {
    await this.#json({ method: 'DELETE', path: `/v1/images/${encodeURIComponent(name)}` });
  }
  prewarm(
    request: PrewarmRequest = {},
    progress?: Progress,
    signal?: AbortSignal,
  ): Promise<{ driver: string; image: string }> {
    return this.#long({ method: 'POST', path: '/v1/images/prewarm', body: request, signal }, progress);
  }

  async channels(signal?: AbortSignal): Promise<ChannelStatus[]> {
    return (await this.#json<{ channels: ChannelStatus[] }>({ path: '/v1/channels', signal })).channels;
  }
  channel(name: string, signal?: AbortSignal): Promise<ChannelStatus> {
    return this.#json({ path: channelPath(name), signal });
  }
  createChannel(request: ChannelRequest, signal?: AbortSignal): Promise<ChannelStatus> {
    return this.#json({ method: 'POST', path: '/v1/channels', body: request, signal });
  }
  /** Rejects with `conflict` while a program is attached, unless `force`: that program then gets an error. */
  async removeChannel(name: string, options: { force?: boolean } = {}): Promise<void> {
    await this.#json({ method: 'DELETE', path: channelPath(name), query: { force: options.force } });
  }

  async services(signal?: AbortSignal): Promise<ServiceStatus[]> {
    return (await this.#json<{ services: ServiceStatus[] }>({ path: '/v1/services', signal })).services;
  }
  service(name: string, signal?: AbortSignal): Promise<ServiceStatus> {
    return this.#json({ path: servicePath(name), signal });
  }
  createService(request: ServiceRequest, signal?: AbortSignal): Promise<ServiceStatus> {
    return this.#json({ method: 'POST', path: '/v1/services', body: request, signal });
  }
  /** Cuts its connections. */
  async removeService(name: string): Promise<void> {
    await this.#json({ method: 'DELETE', path: servicePath(name) });
  }
  /** Makes the service of that name as asked. */
  replaceService(request: ServiceRequest): Promise<ServiceStatus> {
    return this.#json({ method: 'PUT', path: servicePath(request.name), body: request });
  }
  /** Without any connection lost. */
  changeTarget(name: string, instance: string, change: TargetChange): Promise<ServiceStatus> {
    const path = `${servicePath(name)}/targets/${encodeURIComponent(instance)}`;
    return this.#json({ method: 'POST', path, body: change });
  }

  /** The machine and who owns what of it. */
  machine(signal?: AbortSignal): Promise<MachineReport> {
    return this.#json({ path: '/v1/ledger', signal });
  }
  pool(signal?: AbortSignal): Promise<PoolReport> {
    return this.#json({ path: '/v1/pool', signal });
  }
  initPool(request: PoolRequest): Promise<PoolReport> {
    return this.#json({ method: 'POST', path: '/v1/pool', body: request });
  }
  growPool(request: PoolRequest): Promise<PoolReport> {
    return this.#json({ method: 'POST', path: '/v1/pool/grow', body: request });
  }
  shrinkPool(request: PoolRequest): Promise<PoolReport> {
    return this.#json({ method: 'POST', path: '/v1/pool/shrink', body: request });
  }
  async releasePool(): Promise<void> {
    await this.#json({ method: 'DELETE', path: '/v1/pool' });
  }
  /** What `apply` would do. Touches nothing. */
  plan(source: StackSource, signal?: AbortSignal): Promise<Plan> {
    return this.#json({ method: 'POST', path: '/v1/plan', body: source, signal });
  }
  /** Resolves with the plan once it is carried out; aborting ends it after the steps under way. */
  apply(source: StackSource, progress?: Progress, signal?: AbortSignal): Promise<Plan> {
    return this.#long({ method: 'POST', path: '/v1/apply', body: source, signal }, progress);
  }
  /** Removes every instance of a stack. */
  destroy(stack: string, progress?: Progress, signal?: AbortSignal): Promise<Plan> {
    return this.#long({ method: 'POST', path: '/v1/destroy', body: { stack }, signal }, progress);
  }

  /** Ends the daemon; kernels go on. */
  async shutdown(): Promise<void> {
    await this.#json({ method: 'POST', path: '/v1/shutdown' });
  }
  openapi(): Promise<unknown> {
    return this.#json({ path: '/openapi.json' });
  }

  /** The standard streams of the main workload; of a foreground instance this is what starts it. */
  attach(name: string, options?: StreamOptions): Promise<RemoteProcess> {
    return this.#stream((stream) => stream.attach(this.socketPath, name, options));
  }
  /** Another command in the instance's kernel. */
  exec(name: string, request: ExecRequest, options?: StreamOptions): Promise<RemoteProcess> {
    return this.#stream((stream) => stream.exec(this.socketPath, name, request, options));
  }
  console(name: string, options?: StreamOptions): Promise<RemoteConsole> {
    return this.#stream((stream) => stream.console(this.socketPath, name, options));
  }

  #json<T>(call: Call): Promise<T> {
    return json<T>(this.socketPath, call);
  }
  #send(call: Call): Promise<IncomingMessage> {
    return send(this.socketPath, call);
  }
  #act(name: string, verb: string, body: object, signal?: AbortSignal): Promise<InstanceStatus> {
    return this.#json({ method: 'POST', path: `${instancePath(name)}/${verb}`, body, signal });
  }
  // `ws` is loaded only by commands that stream: it would cost every other one its start-up time.
  async #stream<T>(open: (module: typeof import('./stream.ts')) => Promise<T>): Promise<T> {
    return open(await import('./stream.ts'));
  }
  async #long<T>(call: Call, progress: Progress = () => {}): Promise<T> {
    for await (const line of lines<ProgressLine<T>>(await this.#send(call))) {
      if ('progress' in line) progress(line.progress);
      else if ('error' in line) throw PolykernelError.fromJSON(line.error);
      else return line.done;
    }
    throw new PolykernelError('unavailable', 'the daemon ended before the work was done', {
      hint: 'Run the command again.',
    });
  }
}

const channelPath = (name: string): string => `/v1/channels/${encodeURIComponent(name)}`;
const servicePath = (name: string): string => `/v1/services/${encodeURIComponent(name)}`;
const instancePath = (name: string): string => `/v1/instances/${encodeURIComponent(name)}`;
