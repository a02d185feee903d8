/**
 * Many small files on a volume and on the host root, against the same file system mounted by hand in the same guest, where
 * there can be a second one, and against the host itself.
 */
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Client } from '../src/client/index.ts';
import { run } from '../src/sys/process.ts';
import { withDaemon } from './daemon.ts';
import { atMost, median, type Row } from './row.ts';

const FILES = 10_000;
const DIRECTORIES = 100;
const FILE_BYTES = 100;
const ROUNDS = 3;
const GOAL = 1.1;
/** Seen in a guest on the host root, unlike /tmp; made by root alone. */
const SHOWN = '/srv';

interface Place {
  /** What the rows call it. */
  name: string;
  /** Where the guest has it; and the same mounted by hand, if it can be. */
  inGuest: string;
  byHand: { directory: string; commands: string[]; name: string } | undefined;
  /** What it lies on, which cannot do what it does. */
  beneath?: { directory: string; name: string };
  isReadOnly: boolean;
  note: string;
}

const UML_VOLUME_NOTE =
  'pk-share, a server in the guest over hostfs, gives files to who makes them, which hostfs cannot (docs/drivers.md)';
const QEMU_NOTE =
  'the share is mounted as by hand, and can be mounted but once, so that there is nothing to hold it against';

/** Where a guest on the host root sees it too. It keeps names and attributes for as long as pk-share does (VALID_NS), not for its own 1 s. */
const BINDFS = '/usr/bin/bindfs';
const BINDFS_OPTIONS = '-o attr_timeout=0.1,entry_timeout=0.1';
const BINDFS_NOTE =
  'bindfs is told to keep names and attributes for 0.1 s, as pk-share does, so that both see what the host changes; by itself it keeps them for 1 s';

function umlByHand(): Pick<Place, 'byHand' | 'beneath'> {
  const hostfs = { directory: '/files/guest', name: 'hostfs alone' };
  const commands = ['mkdir /files /peer', 'mount -t hostfs none /files -o /export/vol0'];
  if (!existsSync(BINDFS)) return { byHand: { ...hostfs, commands } };
  const server = { directory: '/peer/guest', name: 'such a server by hand (bindfs)' };
  return {
    byHand: { ...server, commands: [...commands, `${BINDFS} ${BINDFS_OPTIONS} /files /peer`] },
    beneath: hostfs,
  };
}

/** `seen`: the directory of files that are there already, on the host root. */
function places(driver: 'uml' | 'qemu', seen: string | undefined): Place[] {
  const volume: Place = {
    ...{ name: 'a volume', inGuest: '/v/guest', isReadOnly: false },
    ...(driver === 'qemu'
      ? { byHand: undefined, note: QEMU_NOTE }
      : {
          ...umlByHand(),
          note: existsSync(BINDFS) ? `${UML_VOLUME_NOTE}; ${BINDFS_NOTE}` : UML_VOLUME_NOTE,
        }),
  };
  if (seen === undefined) return [volume];
  const root: Place = {
    ...{ name: 'the host root', inGuest: seen, isReadOnly: true },
    ...(driver === 'qemu'
      ? { byHand: undefined, note: QEMU_NOTE }
      : {
          byHand: {
            directory: `/layers${seen}`,
            commands: [
              'mkdir /lower /scratch /layers',
              'mount -t hostfs none /lower -o /export/root',
              'mount -t tmpfs none /scratch',
              'mkdir /scratch/upper /scratch/work',
              'mount -t overlay none /layers -o lowerdir=/lower,upperdir=/scratch/upper,workdir=/scratch/work',
            ],
            name: 'hostfs and overlay by hand',
          },
          note: 'a scratch layer over hostfs',
        }),
  };
  return [volume, root];
}

type Times = Readonly<Record<string, number>>;

export const guestFiles = (progress: (text: string) => void): Promise<Row[]> =>
  withDaemon({}, async (_home, client) => [
    ...(await rows(client, 'uml', progress)),
    ...(await rows(client, 'qemu', progress)),
  ]);

async function rows(client: Client, driver: 'uml' | 'qemu', progress: (text: string) => void): Promise<Row[]> {
  progress(`${driver}: ${FILES} small files`);
  const directory = await mkdtemp(join(tmpdir(), 'pk-files-'));
  const shown = process.getuid?.() === 0 && existsSync(SHOWN) ? await mkdtemp(join(SHOWN, 'pk-files-')) : undefined;
  const name = `files-${driver}`;
  try {
    await chmod(directory, 0o755);
    const program = join(directory, 'small-files');
    const built = await run(['gcc', '-O1', '-static', '-o', program, join(import.meta.dirname, 'small-files.c')]);
    if (built.code !== 0) throw new Error(built.stderr);
    for (const place of ['host', 'guest'])
      for (let at = 0; at < DIRECTORIES; at++) await mkdir(join(directory, place, String(at)), { recursive: true });
    if (shown !== undefined) await fill(shown);
    const volumes = [{ source: directory, target: '/v', readOnly: false }];
    const memoryBytes = 512 * 2 ** 20;
    await client.create({ name, driver, volumes, memoryBytes, cwd: '/', command: ['sleep', '100000'], start: false });
    await client.start(name);
    const inside = (command: string) => runInside(client, name, command);
    const rows: Row[] = [];
    for (const { name, inGuest, byHand, beneath, isReadOnly, note } of places(driver, shown)) {
      const last = isReadOnly ? ['read-only'] : [];
      if (byHand !== undefined) await inside(byHand.commands.join(' && '));
      const smallFiles = (directory: string) => inside(['/v/small-files', directory, FILES, ...last].join(' '));
      const seen = await rounds({
        guest: () => smallFiles(inGuest),
        ...(byHand && { peer: () => smallFiles(byHand.directory) }),
        ...(beneath && { beneath: () => smallFiles(beneath.directory) }),
        host: async () =>
          (await run([program, isReadOnly ? inGuest : join(directory, 'host'), String(FILES), ...last])).stdout,
      });
      for (const [step, value] of Object.entries(seen.guest!)) {
        const row = { name: `${driver}: ${step} a small file on ${name}`, value, unit: 'us' };
        const host = seen.host![step]!;
        const others = [
          ...(beneath ? [`${beneath.name}: ${seen.beneath![step]!.toFixed(1)} us`] : []),
          `the host itself: ${host.toFixed(1)} us`,
        ];
        rows.push(
          byHand === undefined
            ? {
                ...{ ...row, peer: 'the host itself', peerValue: host, ratio: value / host },
                ...{ goal: 'none', met: true, note },
              }
            : atMost(GOAL, {
                ...{ ...row, peer: byHand.name, peerValue: seen.peer![step]! },
                note: [note, ...others].join('; '),
              }),
        );
      }
    }
    return rows;
  } finally {
    await client.remove(name, { force: true }).catch(() => {});
    for (const place of [directory, shown]) if (place !== undefined) await rm(place, { recursive: true, force: true });
  }
}

async function fill(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  for (let at = 0; at < FILES; at++) {
    if (at < DIRECTORIES) await mkdir(join(directory, String(at)));
    await writeFile(join(directory, String(at % DIRECTORIES), String(at)), Buffer.alloc(FILE_BYTES));
  }
}

async function runInside(client: Client, name: string, command: string): Promise<string> {
  const remote = await client.exec(name, { command: ['sh', '-c', command], cwd: '/', user: '0' });
  remote.stdin.end();
  const [said, complaint, { exitCode }] = await Promise.all([text(remote.stdout), text(remote.stderr), remote.exited]);
  if (exitCode !== 0) throw new Error(`${command}: ${exitCode}: ${complaint}`);
  return said;
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
