/** Much data into and out of a guest, against a copy through the host's files in the same guest. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Client } from '../src/client/index.ts';
import { withDaemon } from './daemon.ts';
import { atLeast, type Row } from './row.ts';
import { interleaved } from './timing.ts';

const BYTES = 50_000_000;
const ROUNDS = 3;
const rate = (ms: number) => BYTES / 1e6 / (ms / 1000);

/** Of each driver: in and out, in MB/s, from one client. */
export const guestStreams = (progress: (text: string) => void): Promise<Row[]> =>
  withDaemon({}, async (_home, client) => [
    ...(await rows(client, 'uml', 0.5, progress)),
    ...(await rows(client, 'qemu', 0.8, progress)),
  ]);

async function rows(
  client: Client,
  driver: 'uml' | 'qemu',
  goal: number,
  progress: (text: string) => void,
): Promise<Row[]> {
  progress(`${driver}: streams`);
  const directory = await mkdtemp(join(tmpdir(), 'pk-streams-'));
  const data = Buffer.alloc(BYTES, 'some data ');
  await writeFile(join(directory, 'data'), data);
  const volumes = [{ source: directory, target: '/v', readOnly: false }];
  const name = `streams-${driver}`;
  try {
    const memoryBytes = 512 * 2 ** 20;
    await client.create({ name, driver, volumes, memoryBytes, command: ['sleep', '100000'], start: false });
    await client.start(name);
    const run = async (command: string, input: Uint8Array = Buffer.alloc(0)) => {
      const remote = await client.exec(name, { command: ['sh', '-c', command], cwd: '/', user: '0' });
      const began = performance.now();
      remote.stdin.on('error', () => {});
      remote.stdin.end(input);
      const output = buffer(remote.stdout);
      remote.stderr.resume();
      const { exitCode } = await remote.exited;
      const { length } = await output;
      if (exitCode !== 0) throw new Error(`${command}: ${exitCode}`);
      return { ms: performance.now() - began, length };
    };
    const seen = await interleaved(ROUNDS, {
      copyIn: async () => (await run('cp /v/data /tmp/copy')).ms,
      in: async () => (await run('cat > /tmp/copy', data)).ms,
      copyOut: async () => (await run('cp /tmp/copy /v/out')).ms,
      out: async () => (await run('cat /tmp/copy')).ms,
    });
    const peer = driver === 'uml' ? 'cp through hostfs' : 'cp through 9p';
    const note =
      driver === 'uml'
        ? {}
        : { note: 'the goal is of the raw port, which is not measured here: 72 to 76 MB/s were seen' };
    const row = (way: 'in' | 'out', ms: number, peerMs: number) =>
      atLeast(goal, {
        name: `${driver}: ${way}`,
        value: rate(ms),
        unit: 'MB/s',
        peer,
        peerValue: rate(peerMs),
        ...note,
      });
    return [row('in', seen.in, seen.copyIn), row('out', seen.out, seen.copyOut)];
  } finally {
    await client.remove(name, { force: true }).catch(() => {});
    await rm(directory, { recursive: true, force: true });
  }
}
