/** What upgrades cost those who use what is upgraded: of an instance behind a service, of a single one, of the daemon. */
import type { Client } from '../src/client/index.ts';
import { freePort } from '../test/support/http.ts';
import { until } from '../test/support/pk.ts';
import { withDaemon } from './daemon.ts';
import { daemonUpgrade } from './daemon-upgrade.ts';
import { answersWith } from './guest-server.ts';
import { longestSilence } from './long-connection.ts';
import { type OpenLoop, openLoop } from './open-loop.ts';
import { atMost, type Row, reported } from './row.ts';

const UPGRADES = 20;
const PER_SECOND = 200;
const MORE_MS = 10;
const PAUSE_MS = 100;
const MIB = 2 ** 20;

export async function upgrade(progress: (text: string) => void): Promise<Row[]> {
  const instances = await withDaemon({}, async (_home, client) => [
    ...(await beside(client, progress)),
    await longLived(client, progress),
    await single(client, progress),
  ]);
  return [...instances, ...(await daemonUpgrade(progress))];
}

const kernel = { driver: 'uml', memoryBytes: 128 * MIB, network: 'private' } as const;

async function beside(client: Client, progress: (text: string) => void): Promise<Row[]> {
  const port = await freePort();
  await client.create({ name: 'web', command: answersWith('0'), ...kernel, start: false });
  await client.start('web');
  await client.createService({ name: 'api', port, targets: [{ instance: 'web', port: 80 }] });
  await until('it serves', async () => (await client.service('api')).state === 'ok');
  const upgraded: OpenLoop[] = [];
  const beside: OpenLoop[] = [];
  for (let round = 1; round <= UPGRADES; round += 1) {
    progress(`upgrade ${round} of ${UPGRADES} under ${PER_SECOND} requests a second`);
    const began = performance.now();
    upgraded.push(
      await openLoop(port, PER_SECOND, () => client.upgrade('web', { command: answersWith(`${round}`), watchMs: 500 })),
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

/** A word every 20 ms to each that connects. */
const TALKS =
  '$s = IO::Socket::INET->new(LocalPort => 81, Listen => 9, ReuseAddr => 1) or die; $SIG{CHLD} = "IGNORE";' +
  'while (1) { $c = $s->accept or next; next if fork; while (syswrite $c, "word\n") { select undef, undef, undef, .02 } exit }';
const DRAIN_MS = 2_000;

async function longLived(client: Client, progress: (text: string) => void): Promise<Row> {
  progress('upgrade under a connection that stays');
  const port = await freePort();
  const command = (round: string) => ['perl', '-MIO::Socket::INET', '-e', TALKS, round];
  await client.create({ name: 'talk', command: command('0'), ...kernel, start: false });
  await client.start('talk');
  await client.createService({ name: 'talks', port, mode: 'tcp', targets: [{ instance: 'talk', port: 81 }] });
  await until('it serves', async () => (await client.service('talks')).state === 'ok');
  const quiet = await longestSilence(port, () => new Promise((resolve) => setTimeout(resolve, 5_000)));
  let cut = 0;
  const upgraded = await longestSilence(port, async () => {
    const report = await client.upgrade('talk', { command: command('1'), drainMs: DRAIN_MS, watchMs: 500 });
    cut = report.cutConnections;
  });
  await client.removeService('talks');
  await client.remove('talk', { force: true });
  return reported({
    ...{ name: `upgrade under a TCP connection that stays, --drain ${DRAIN_MS / 1000}s: longest silence`, unit: 'ms' },
    ...{ value: upgraded.silenceMs, peer: 'in five quiet seconds, a word every 20 ms', peerValue: quiet.silenceMs },
    note: `as its client saw it, which connects again when it is cut: cut ${cut} times, connected ${upgraded.connected} times`,
  });
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
