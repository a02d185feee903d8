/**
 * Many small files on a volume and on the host root, against the same file system mounted by hand in the same guest, where
 * there can be a second one, and against the host itself.
 */
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Client } from '../src/client/index.ts';
import { run } from '../src/sys/process.ts';
import { withDaemon } from './daemon.ts';
import { atMost, median, type Row } from './row.ts';

const FILES = 10_000;
const DIRECTORIES = 100;
const ROUNDS = 3;
const GOAL = 1.1;
/** The volume as it is mounted by hand; QEMU's share can be mounted but once. */
const BY_HAND = { uml: 'mkdir -p /peer && mount -t hostfs none /peer -o /export/vol0', qemu: undefined } as const;
const NOTE = {
  uml: 'pk-share, a server in the guest, gives files to who makes them, which hostfs cannot (docs/drivers.md)',
  qemu: 'the share is mounted as by hand, with nothing in between, so that there is nothing to hold it against',
} as const;

type Times = Readonly<Record<string, number>>;

export const guestFiles = (progress: (text: string) => void): Promise<Row[]> =>
  withDaemon({}, async (_home, client) => [
    ...(await rows(client, 'uml', progress)),
    ...(await rows(client, 'qemu', progress)),
  ]);

async function rows(client: Client, driver: 'uml' | 'qemu', progress: (text: string) => void): Promise<Row[]> {
  progress(`${driver}: ${FILES} small files`);
  const directory = await mkdtemp(join(tmpdir(), 'pk-files-'));
  const name = `files-${driver}`;
  try {
    await chmod(directory, 0o755);
    const program = join(directory, 'small-files');
    const built = await run(['gcc', '-O1', '-static', '-o', program, join(import.meta.dirname, 'small-files.c')]);
    if (built.code !== 0) throw new Error(built.stderr);
    for (const place of ['host', 'guest'])
      for (let at = 0; at < DIRECTORIES; at++) await mkdir(join(directory, place, String(at)), { recursive: true });
    const volumes = [{ source: directory, target: '/v', readOnly: false }];
    const memoryBytes = 512 * 2 ** 20;
    await client.create({ name, driver, volumes, memoryBytes, cwd: '/', command: ['sleep', '100000'], start: false });
    await client.start(name);
    const inside = async (command: string) => {
      const remote = await client.exec(name, { command: ['sh', '-c', command], cwd: '/', user: '0' });
      remote.stdin.end();
      const [said, complaint, { exitCode }] = await Promise.all([
        text(remote.stdout),
        text(remote.stderr),
        remote.exited,
      ]);
      if (exitCode !== 0) throw new Error(`${command}: ${exitCode}: ${complaint}`);
      return said;
    };
    const byHand = BY_HAND[driver];
    if (byHand !== undefined) await inside(byHand);
    const measure = {
      volume: () => inside(`/v/small-files /v/guest ${FILES}`),
      ...(byHand === undefined ? {} : { peer: () => inside(`/v/small-files /peer/guest ${FILES}`) }),
      host: async () => (await run([program, join(directory, 'host'), String(FILES)])).stdout,
    };
    const seen = await rounds(measure);
    return Object.entries(seen.volume!).map(([step, value]) => {
      const row = { name: `${driver}: ${step} a small file on a volume`, value, unit: 'us' };
      const host = seen.host![step]!;
      if (seen.peer === undefined)
        return {
          ...{ ...row, peer: 'the host itself', peerValue: host, ratio: value / host },
          ...{ goal: 'none', met: true, note: NOTE[driver] },
        };
      const note = `${NOTE[driver]}; the host itself: ${host.toFixed(1)} us`;
      return atMost(GOAL, { ...row, peer: 'hostfs mounted by hand', peerValue: seen.peer[step]!, note });
    });
  } finally {
    await client.remove(name, { force: true }).catch(() => {});
    await rm(directory, { recursive: true, force: true });
  }
}

/** Medians of each step of each, taken in turn. */
async function rounds(measure: Record<string, (() => Promise<string>) | undefined>): Promise<Record<string, Times>> {
  const all: Record<string, Record<string, number[]>> = {};
  for (let round = 0; round < ROUNDS; round++)
    for (const [place, take] of Object.entries(measure))
      for (const line of (await take!()).trim().split('\n')) {
        const [step = '', value] = line.split(' ');
        all[place] ??= {};
        all[place][step] ??= [];
        all[place][step].push(Number(value));
      }
  return Object.fromEntries(
    Object.entries(all).map(([place, steps]) => [
      place,
      Object.fromEntries(Object.entries(steps).map(([step, values]) => [step, median(values)])),
    ]),
  );
}
