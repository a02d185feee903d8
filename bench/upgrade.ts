/** What upgrades cost those who use what is upgraded: of an instance behind a service, of a single one, of the daemon. */
import type { Client } from '../src/client/index.ts';
import { freePort } from '../test/support/http.ts';
import { until } from '../test/support/pk.ts';
import { withDaemon } from './daemon.ts';
import { daemonUpgrade } from './daemon-upgrade.ts';
import { type OpenLoop, openLoop } from './open-loop.ts';
import { atMost, type Row } from './row.ts';

const UPGRADES = 5;
const PER_SECOND = 200;
const MORE_MS = 10;
const PAUSE_MS = 100;
const MIB = 2 ** 20;

export async function upgrade(progress: (text: string) => void): Promise<Row[]> {
  const instances = await withDaemon({}, async (_home, client) => [
    ...(await beside(client, progress)),
    await single(client, progress),
  ]);
  return [...instances, ...(await daemonUpgrade(progress))];
}

const server = (text: string) => [
  'sh',
  '-c',
  `mkdir -p /run/w && echo ${text} > /run/w/index.html && exec busybox httpd -f -p 80 -h /run/w`,
];
const kernel = { driver: 'uml', memoryBytes: 128 * MIB, network: 'private' } as const;

async function beside(client: Client, progress: (text: string) => void): Promise<Row[]> {
  const port = await freePort();
  await client.create({ name: 'web', command: server('0'), ...kernel, start: false });
  await client.start('web');
  await client.createService({ name: 'api', port, targets: [{ instance: 'web', port: 80 }] });
  await until('it serves', async () => (await client.service('api')).state === 'ok');
  const upgraded: OpenLoop[] = [];
  const beside: OpenLoop[] = [];
  for (let round = 1; round <= UPGRADES; round += 1) {
    progress(`upgrade ${round} of ${UPGRADES} under ${PER_SECOND} requests a second`);
    const began = performance.now();
    upgraded.push(
      await openLoop(port, PER_SECOND, () => client.upgrade('web', { command: server(`${round}`), watchMs: 500 })),
    );
    const window = performance.now() - began;
    progress('an equal time in which another kernel boots');
    beside.push(await openLoop(port, PER_SECOND, () => boots(client, window)));
  }
  await client.removeService('api');
  await client.remove('web', { force: true });
  const worst = (loops: readonly OpenLoop[]) => Math.max(...loops.map(({ worstMs }) => worstMs));
  const total = (loops: readonly OpenLoop[], of: 'sent' | 'failed') => loops.reduce((sum, each) => sum + each[of], 0);
  const quiet = { peer: 'windows as long in which another kernel boots', unit: '' };
  const names = `${UPGRADES} upgrades behind a service under ${PER_SECOND} requests a second`;
  const [most, other] = [worst(upgraded), worst(beside)];
  return [
    atMost(0, {
      ...{ ...quiet, name: `${names}: failed`, value: total(upgraded, 'failed'), unit: 'requests', of: 'value' },
      peerValue: total(beside, 'failed'),
      note: `of ${total(upgraded, 'sent')}, and of ${total(beside, 'sent')}`,
    }),
    atMost(Math.round(other + MORE_MS), {
      ...{ ...quiet, name: `${names}: worst, from when it was to be sent`, value: most, unit: 'ms', of: 'value' },
      peerValue: other,
      note: `goal: at most ${MORE_MS} ms more than the worst of those`,
    }),
  ];
}

/** Another kernel starts and ends; then nothing, until so many milliseconds have gone by. */
async function boots(client: Client, milliseconds: number): Promise<void> {
  const end = performance.now() + milliseconds;
  await client.create({ name: 'other', command: ['sleep', '100000'], ...kernel, start: false });
  await client.start('other');
  await client.remove('other', { force: true });
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, end - performance.now())));
}

async function single(client: Client, progress: (text: string) => void): Promise<Row> {
  progress('upgrade of a single instance');
  await client.create({ name: 'job', command: ['sleep', '1000'], ...kernel, start: false });
  await client.start('job');
  const { downMs } = await client.upgrade('job', { command: ['sleep', '2000'], watchMs: 0 });
  const { readyMs } = await client.inspect('job');
  await client.remove('job', { force: true });
  return atMost(Math.round(readyMs! + PAUSE_MS), {
    ...{ name: 'upgrade of a single instance: its pause', value: downMs!, unit: 'ms', of: 'value' },
    ...{ peer: 'the ready time of that start', peerValue: readyMs! },
    note: `goal: at most ${PAUSE_MS} ms more than that`,
  });
}
