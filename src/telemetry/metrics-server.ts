/**
 * The one door for Prometheus that is no Unix socket. Who reaches it learns names and numbers, and can change nothing; who holds
 * it makes room for others.
 */
import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { asPolykernelError } from '../sys/errors.ts';
import { METRICS_CONTENT_TYPE } from './contract.ts';

// Not by `import`, as in client/http.ts: the HTTP client that this would load takes 14 MiB.
const { createServer } = process.getBuiltinModule('node:http');

export interface MetricsAddress {
  host: string;
  port: number;
  /** Host names under which it is asked, besides its own. */
  names?: readonly string[];
}

export interface MetricsServer {
  port: number;
  close(): void;
}

const LIMITS = {
  /** Connections at once: one more ends the oldest. */
  connections: 32,
  /** How long one may last, whatever happens on it: a scrape takes milliseconds. */
  lifetimeMs: 10_000,
  /** How long its request may take. */
  requestMs: 5_000,
};
const LOOK_MS = 1_000;
/** For so long a text is given again: who asks without end makes the daemon write few. It is of samples as old as that anyway. */
const TEXT_MS = 250;

/**
 * Serves GET /metrics and nothing else, to who asks for an address or a name of this machine. Rejects with `internal` or
 * `permission` when the address cannot be had.
 */
export function serveMetrics(
  { host, port, names = [] }: MetricsAddress,
  text: () => string,
  limits: Partial<typeof LIMITS> = {},
): Promise<MetricsServer> {
  const { connections, lifetimeMs, requestMs } = { ...LIMITS, ...limits };
  const known = new Set([host, 'localhost', hostname(), ...names].map((name) => name.toLowerCase()));
  const options = {
    headersTimeout: requestMs,
    requestTimeout: requestMs,
    connectionsCheckingInterval: Math.min(LOOK_MS, requestMs),
    maxHeaderSize: 8192,
  };
  let told: { text: string; at: number } | undefined;
  const recent = () => {
    const now = performance.now();
    if (told === undefined || now - told.at > TEXT_MS) told = { text: text(), at: now };
    return told.text;
  };
  const asked = new WeakSet<Socket>();
  const server = createServer(options, (request, response) => {
    // The first answer ends the connection; thousands of requests may have come with it in one piece.
    if (asked.has(request.socket)) return;
    asked.add(request.socket);
    const path = (request.url ?? '').split('?', 1)[0];
    const found = path === '/metrics' && (request.method === 'GET' || request.method === 'HEAD');
    const isOurs = asksFor(request, known);
    const status = !isOurs ? 421 : found ? 200 : 404;
    response.writeHead(status, { 'content-type': METRICS_CONTENT_TYPE, connection: 'close' });
    response.end(status === 200 ? recent() : isOurs ? 'There is only GET /metrics.\n' : NOT_OURS);
  });
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    const [oldest] = open;
    if (open.size >= connections) oldest?.destroy();
    open.add(socket);
    const timer = setTimeout(() => socket.destroy(), lifetimeMs).unref();
    socket.once('close', () => {
      clearTimeout(timer);
      open.delete(socket);
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(asPolykernelError(error, `serving metrics on ${host}:${port}`)));
    server.listen(port, host, () => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : port,
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      });
    });
    server.unref();
  });
}

const NOT_OURS = 'This machine does not know that host name: see POLYKERNEL_METRICS_NAMES.\n';

/**
 * A page of the web that has its own name lead here (DNS rebinding) asks with that name; one that asks with an address is where
 * it came from.
 */
function asksFor({ headers }: IncomingMessage, known: ReadonlySet<string>): boolean {
  const [, v6, name] = /^(?:\[([^\]]{0,64})\]|([^:]{0,253}))(?::\d{0,5})?$/.exec(headers.host ?? '') ?? [];
  if (v6 !== undefined) return isIP(v6) === 6;
  return name !== undefined && (isIP(name) === 4 || known.has(name.toLowerCase().replace(/\.$/, '')));
}
