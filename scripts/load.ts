/** `npm run load -- [URL] [SECONDS]`: asks again and again on eight connections, and says who answered and what failed. */
import { Agent, get } from 'node:http';
import { argumentsOrHelp } from './usage.ts';

const CONNECTIONS = 8;
const USAGE = 'usage: npm run load -- [http://ADDRESS:PORT/] [SECONDS]';
const [url = 'http://127.0.0.1:8080/', seconds = '20'] = argumentsOrHelp(USAGE);
if (!URL.canParse(url) || !url.startsWith('http://') || !(Number(seconds) > 0)) {
  console.error(USAGE);
  process.exit(2);
}

/** The first line of the answer. */
function ask(agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, timeout: 60_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () =>
        response.statusCode === 200
          ? resolve(body.split('\n')[0]!)
          : reject(new Error(`status ${response.statusCode}`)),
      );
    });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error('no answer within a minute')));
  });
}

const answers = new Map<string, number>();
const failures = new Map<string, number>();
const count = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
const text = (counts: Map<string, number>) =>
  [...counts]
    .sort()
    .map(([key, times]) => `${key} ${times}`)
    .join(', ');
const sum = (counts: Map<string, number>) => [...counts.values()].reduce((total, times) => total + times, 0);

let ended = false;
process.once('SIGINT', () => {
  ended = true;
});
const deadline = performance.now() + Number(seconds) * 1000;
await Promise.all(
  Array.from({ length: CONNECTIONS }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!ended && performance.now() < deadline) {
      await ask(agent).then(
        (who) => count(answers, who),
        (error: Error) => {
          count(failures, error.message);
          // One that refuses is not asked without a pause.
          return new Promise((resolve) => setTimeout(resolve, 100));
        },
      );
    }
    agent.destroy();
  }),
);
console.log(`${sum(answers)} answered (${text(answers)})`);
console.log(`${sum(failures)} failed${failures.size === 0 ? '' : ` (${text(failures)})`}`);
