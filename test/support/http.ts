/** Clients of what is served on loopback. */
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { until } from './pk.ts';

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Body of the answer, without space around it; rejects for a status of 400 and above, or none within a minute. */
export function fetchText(port: number, agent = new Agent(), path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent, timeout: 60_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () =>
        response.statusCode! < 400
          ? resolve(body.trim())
          : reject(new Error(`status ${response.statusCode}: ${body.trim()}`)),
      );
      response.on('error', reject);
    });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error('no answer within a minute')));
  });
}

/** Asks on four connections, one request after the other on each, until stopped. */
export function load(port: number) {
  /** By the text of the answer. */
  const answers: Record<string, number> = {};
  /** `began`: when it was asked, by performance.now(). */
  const failures: { began: number; reason: string }[] = [];
  let stopped = false;
  const done = Promise.all(
    Array.from({ length: 4 }, async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (!stopped) {
        const began = performance.now();
        try {
          const text = await fetchText(port, agent);
          answers[text] = (answers[text] ?? 0) + 1;
        } catch (error) {
          failures.push({ began, reason: String(error) });
        }
      }
      agent.destroy();
    }),
  );
  const sent = () => Object.values(answers).reduce((sum, count) => sum + count, 0);
  return {
    answers,
    failures,
    /** How many were answered. */
    sent,
    /** Resolves when so many more were answered, by one or by all. */
    async more(count: number, by?: string) {
      const now = () => (by === undefined ? sent() : (answers[by] ?? 0));
      const goal = now() + count;
      await until(`${count} more answers${by === undefined ? '' : ` of ${by}`}`, () => now() >= goal);
    },
    async stop() {
      stopped = true;
      await done;
    },
  };
}
