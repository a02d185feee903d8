/** What a move costs beyond the bare operation in the same guest, in the same run; QEMU, emulated where there is no KVM. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Client } from '../src/client/index.ts';
import { Qmp } from '../src/driver/qemu/qmp.ts';
import { setMemory } from '../src/driver/qemu/resize.ts';
import { connectShim } from '../src/driver/shim/shim.ts';
import { withDaemon } from './daemon.ts';
import { atMost, median, type Row } from './row.ts';

const ROUNDS = 15;
/** Of CPUs, the bare operation and ours in turn: this machine is not as fast at all times. */
const BLOCKS = 5;
const PER_BLOCK = 4;
const MIB = 2 ** 20;
/** Takes the second CPU offline and online again without a process of its own, and says how long all of it took, in hundredths of a second. */
const BARE = `f=/sys/devices/system/cpu/cpu1/online; round=0
read a rest < /proc/uptime
while [ $round -lt ${PER_BLOCK} ]; do echo 0 > $f; echo 1 > $f; round=$((round+1)); done
read b rest < /proc/uptime; echo $a $b`;
const LARGE = { cpus: 2, memoryBytes: 256 * MIB };
const SMALL = { cpus: 1, memoryBytes: 192 * MIB };

export const moves = (progress: (text: string) => void): Promise<Row[]> =>
  withDaemon({}, async (_home, client) => {
    progress('moves: a kernel of two CPUs');
    const elastic = { cpus: { min: 1, max: 2 }, memoryBytes: { min: 160 * MIB, max: 256 * MIB } };
    await client.create({ name: 'web', driver: 'qemu', command: ['sleep', '100000'], ...LARGE, elastic, start: false });
    await client.start('web');
    return [await cpuRow(client, progress), await memoryRow(client, progress)];
  });

async function cpuRow(client: Client, progress: (text: string) => void): Promise<Row> {
  progress('moves: CPUs');
  const bareMs: number[] = [];
  const movedMs: number[] = [];
  for (let block = 0; block < BLOCKS; block++) {
    const [from, to] = (await said(client, ['sh', '-c', BARE])).trim().split(' ').map(Number);
    bareMs.push(((to! - from!) * 1000) / PER_BLOCK);
    for (let round = 0; round < PER_BLOCK; round++) {
      const began = performance.now();
      for (const { cpus } of [SMALL, LARGE]) await client.resize('web', { cpus });
      movedMs.push(performance.now() - began);
    }
  }
  return atMost(1.3, {
    name: 'a CPU is taken and given, each read back from the guest and told within',
    value: median(movedMs),
    unit: 'ms',
    peer: 'written to its `online` within the same guest',
    peerValue: median(bareMs),
    note: `medians of ${BLOCKS * PER_BLOCK} and of ${BLOCKS} means`,
  });
}

async function memoryRow(client: Client, progress: (text: string) => void): Promise<Row> {
  progress('moves: memory');
  const { directory } = (await client.inspect('web')).paths;
  const bareMs: number[] = [];
  const movedMs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const { memoryBytes } of [SMALL, LARGE]) {
      const monitor = await Qmp.open(
        await connectShim(join(directory, 'kernel'), 'monitor'),
        randomBytes(4).toString('hex'),
      );
      bareMs.push(await timed(() => setMemory(monitor, memoryBytes)));
      monitor.close();
    }
    for (const { memoryBytes } of [SMALL, LARGE])
      movedMs.push(await timed(() => client.resize('web', { memoryBytes })));
  }
  return atMost(1.3, {
    name: '64 MiB are taken, or given, read back from the VMM and told within',
    value: median(movedMs),
    unit: 'ms',
    peer: 'asked of the balloon of the same guest over QMP',
    peerValue: median(bareMs),
    note: `median of ${2 * ROUNDS}`,
  });
}

async function said(client: Client, command: string[]): Promise<string> {
  const process = await client.exec('web', { command, user: '0' });
  process.stdin.end();
  process.stderr.resume();
  return await text(process.stdout);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
