/** What the environment says of telemetry, and the one door for Prometheus that is no Unix socket. */
import { createServer } from 'node:http';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { METRICS_CONTENT_TYPE } from '../telemetry/index.ts';

const DEFAULT_RATE = 2;

/** $POLYKERNEL_SAMPLES_PER_SECOND: 1 to 10, default 2. Throws `invalid`. */
export function samplesPerSecond(env: NodeJS.ProcessEnv): number {
  const text = env.POLYKERNEL_SAMPLES_PER_SECOND;
  if (!text) return DEFAULT_RATE;
  if (/^(?:[1-9]|10)$/.test(text)) return Number(text);
  throw new PolykernelError(
    'invalid',
    `POLYKERNEL_SAMPLES_PER_SECOND: ${JSON.stringify(text)} is not a whole number from 1 to 10`,
    { field: 'POLYKERNEL_SAMPLES_PER_SECOND', value: text, hint: `Leave it unset for ${DEFAULT_RATE}.` },
  );
}

/** $POLYKERNEL_METRICS_LISTEN: ADDRESS:PORT, [V6]:PORT; undefined = the Unix socket alone. Throws `invalid`. */
export function metricsAddress(env: NodeJS.ProcessEnv): { host: string; port: number } | undefined {
  const text = env.POLYKERNEL_METRICS_LISTEN;
  if (!text) return undefined;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65_535) return { host: (match[1] ?? match[2])!, port };
  throw new PolykernelError('invalid', `POLYKERNEL_METRICS_LISTEN: ${JSON.stringify(text)} is not ADDRESS:PORT`, {
    field: 'POLYKERNEL_METRICS_LISTEN',
    value: text,
    hint: 'Write an address of this machine and a port, such as 127.0.0.1:9464.',
  });
}

export interface MetricsServer {
  port: number;
  close(): void;
}

/**
 * Serves GET /metrics and nothing else: whoever reaches it learns names and numbers, and can change nothing.
 * Rejects with `internal` or `permission` when the address cannot be had.
 */
export function serveMetrics(
  { host, port }: { host: string; port: number },
  text: () => string,
): Promise<MetricsServer> {
  const server = createServer({ requestTimeout: 10_000, maxHeaderSize: 8192 }, (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0];
    const found = path === '/metrics' && (request.method === 'GET' || request.method === 'HEAD');
    response.writeHead(found ? 200 : 404, { 'content-type': METRICS_CONTENT_TYPE, connection: 'close' });
    response.end(found ? text() : 'There is only GET /metrics.\n');
  });
  server.maxConnections = 16;
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
