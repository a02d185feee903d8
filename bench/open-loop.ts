/** Requests at a fixed rate, whatever comes of those before; each is timed from when it was to be sent. */
import { Agent, get } from 'node:http';

export interface OpenLoop {
  sent: number;
  failed: number;
  worstMs: number;
  p99Ms: number;
}

/** Until `work` has ended, and all that was asked is answered. */
export async function openLoop(port: number, perSecond: number, work: () => Promise<unknown>): Promise<OpenLoop> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const times: number[] = [];
  const asked: Promise<void>[] = [];
  let failed = 0;
  const began = performance.now();
  let isOver = false;
  const sending = (async () => {
    for (let at = 0; !isOver; ) {
      // All that are due: a timer that was late makes none late.
      for (; began + (at * 1000) / perSecond <= performance.now(); at += 1) {
        const intended = began + (at * 1000) / perSecond;
        asked.push(
          answer(port, agent).then(
            () => void times.push(performance.now() - intended),
            () => {
              failed += 1;
            },
          ),
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  try {
    await work();
  } finally {
    isOver = true;
    await sending;
    await Promise.all(asked);
    agent.destroy();
  }
  times.sort((a, b) => a - b);
  return { sent: asked.length, failed, worstMs: times.at(-1) ?? 0, p99Ms: times[Math.floor(times.length * 0.99)] ?? 0 };
}

function answer(port: number, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, agent, timeout: 60_000 }, (response) => {
      response.resume();
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error())));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error()));
  });
}
