/** Local HTTP servers in the place of instances, and endpoints that tests set. */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Endpoints } from '../../src/service/contract.ts';
import { eventually, startDaemon, type TestDaemon } from './harness.ts';

/** All on loopback addresses of their own, so that instances can have the same port. */
export class FakeEndpoints implements Endpoints {
  readonly #known = new Map<string, string>();
  readonly #listeners = new Set<() => void>();

  address(instance: string): string | null {
    return this.#known.get(instance) ?? null;
  }

  obstacle(): null {
    return null;
  }

  namespace(): null {
    return null;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(instance: string, address: string | null): void {
    if (address === null) this.#known.delete(instance);
    else this.#known.set(instance, address);
    for (const listener of this.#listeners) listener();
  }
}

export interface Backend {
  address: string;
  port: number;
  /** Cuts all connections and listens no more, as a killed kernel does. */
  kill(): void;
  /** Listens again. */
  revive(): Promise<void>;
}

/** An HTTP server that answers with its name, or as told. */
export async function startBackend(
  name: string,
  address: string,
  port = 0,
  answer?: RequestListener,
): Promise<Backend> {
  let server: Server;
  const listen = async (at: number) => {
    server = createServer(answer ?? ((_request, response) => response.end(name)));
    server.listen(at, address);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const kill = () => {
    server.close();
    server.closeAllConnections();
  };
  const chosen = await listen(port);
  onTestFinished(kill);
  return { address, port: chosen, kill, revive: async () => void (await listen(chosen)) };
}

/** Sends back what it gets, with its name before the first. */
export async function startEcho(name: string, address: string, port = 0): Promise<Backend> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.write(`${name}\n`);
    socket.pipe(socket);
  });
  const listen = async (at: number) => {
    server.listen(at, address);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const kill = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  const chosen = await listen(port);
  onTestFinished(kill);
  return { address, port: chosen, kill, revive: async () => void (await listen(chosen)) };
}

export interface ServiceDaemon extends TestDaemon {
  endpoints: FakeEndpoints;
  /** Of every HAProxy of this home. */
  proxies(): number[];
  /** What was told of services. */
  told: string[];
}

/** With a daemon. */
export async function startServices(options: Parameters<typeof startDaemon>[0] = {}): Promise<ServiceDaemon> {
  const endpoints = new FakeEndpoints();
  const daemon = await startDaemon({ ...options, endpoints });
  const told: string[] = [];
  const done = new AbortController();
  onTestFinished(() => done.abort());
  const gather = async () => {
    for await (const { type, name, message } of daemon.client.events({ since: 0 }, done.signal))
      told.push(`${type} ${name}: ${message}`);
  };
  gather().catch(() => {});
  return Object.assign(daemon, { endpoints, told, proxies: () => proxiesOf(daemon.home) });
}

function proxiesOf(home: string): number[] {
  return readdirSync('/proc').flatMap((entry) => {
    try {
      const argv = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
      return argv[2] === join(home, 'haproxy', 'haproxy.cfg') ? Number(entry) : [];
    } catch {
      return [];
    }
  });
}

/** web1 to webN, each at an address of its own, all at the same port. */
export async function backends(daemon: ServiceDaemon, count: number) {
  const first = await startBackend('web1', '127.0.1.1');
  const others = Array.from({ length: count - 1 }, (_, at) =>
    startBackend(`web${at + 2}`, `127.0.1.${at + 2}`, first.port),
  );
  const all = [first, ...(await Promise.all(others))];
  for (const [at, { address }] of all.entries()) daemon.endpoints.set(`web${at + 1}`, address);
  return all;
}

/** The same as targets of a service. */
export const targets = (count: number, port: number) =>
  Array.from({ length: count }, (_, at) => ({ instance: `web${at + 1}`, port }));

/** Resolves with the service once so many of its targets are up. */
export async function untilUp(daemon: ServiceDaemon, name: string, count: number) {
  return eventually(async () => {
    const status = await daemon.client.service(name);
    return status.targets.filter(({ state }) => state === 'up').length === count && status;
  });
}

/** A TCP connection through a service: says what came, and sends. */
export async function dial(port: number) {
  const socket = connect(port, '127.0.0.1');
  let heard = '';
  let open = true;
  socket.setEncoding('utf8').on('data', (text) => {
    heard += text;
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    open = false;
  });
  onTestFinished(() => void socket.destroy());
  await eventually(() => heard.includes('\n'));
  return {
    name: heard.trim(),
    isOpen: () => open,
    async echo(text: string) {
      heard = '';
      socket.write(text);
      await eventually(() => heard === text);
    },
  };
}

/** web1 and web2, which send back what comes; gives the port of both. */
export async function echoes(daemon: ServiceDaemon) {
  const web1 = await startEcho('web1', '127.0.1.1');
  const web2 = await startEcho('web2', '127.0.1.2', web1.port);
  daemon.endpoints.set('web1', web1.address);
  daemon.endpoints.set('web2', web2.address);
  return web1.port;
}
