/** Much data into and out of a guest: UML against a copy through the host's files, QEMU against a port set up by hand. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '../src/client/index.ts';
import { ImageStore } from '../src/image/contract.ts';
import { withDaemon } from './daemon.ts';
import { rawPort } from './raw-port.ts';
import { atLeast, type Row } from './row.ts';
import { interleaved } from './timing.ts';

const BYTES = 50_000_000;
const MEMORY_BYTES = 512 * 2 ** 20;
const ROUNDS = 5;
const rate = (ms: number) => BYTES / 1e6 / (ms / 1000);

/** Of each driver: in and out, in MB/s, from one client. */
export const guestStreams = (progress: (text: string) => void): Promise<Row[]> =>
  withDaemon({}, async (_home, client) => [
    ...(await umlStreams(client, progress)),
    ...(await qemuStreams(client, progress)),
  ]);

function umlStreams(client: Client, progress: (text: string) => void): Promise<Row[]> {
  progress('uml: streams');
  return withGuest(client, 'uml', async (run, data, directory) => {
    const seen = await interleaved(ROUNDS, {
      copyIn: async () => {
        await run('echo 1 > /proc/sys/vm/drop_caches'); // else it is a copy of what the guest has already
        return run('cp /v/data /tmp/copy');
      },
      in: () => run('cat > /tmp/copy', data),
      copyOut: async () => {
        const ms = await run('cp /tmp/copy /v/out');
        await rm(join(directory, 'out')); // else the host writes it to its disk meanwhile
        return ms;
      },
      out: () => run('cat /tmp/copy'),
    });
    const row = (way: 'in' | 'out', peerMs: number) =>
      atLeast(0.5, {
        name: `uml: ${way}`,
        value: rate(seen[way]),
        unit: 'MB/s',
        peer: 'cp through hostfs',
        note: 'cp is one process; the stream passes a pipe, the agent, the daemon and a WebSocket, on the same CPUs',
        peerValue: rate(peerMs),
      });
    return [row('in', seen.copyIn), row('out', seen.copyOut)];
  });
}

async function qemuStreams(client: Client, progress: (text: string) => void): Promise<Row[]> {
  progress('qemu: streams');
  const raw = await rawPort(await new ImageStore().resolve('debian:amd64'), MEMORY_BYTES);
  try {
    return await withGuest(client, 'qemu', async (run, data) => {
      const seen = await interleaved(ROUNDS, {
        rawIn: () => raw.in(data),
        in: () => run('cat > /tmp/copy', data),
        rawOut: () => raw.out(data.length),
        out: () => run('cat /tmp/copy'),
        pipe: () => raw.pipe(),
      });
      const row = (way: 'in' | 'out', peerMs: number) => {
        const judged = atLeast(0.8, {
          name: `qemu: ${way}`,
          value: rate(seen[way]),
          unit: 'MB/s',
          peer: 'dd on a raw port',
          peerValue: rate(peerMs),
        });
        const pipe = `cat | cat in the guest has ${rate(seen.pipe).toFixed(0)} MB/s`;
        return { ...judged, note: judged.met ? pipe : `${WHY[way]}; ${pipe}` };
      };
      return [row('in', seen.rawIn), row('out', seen.rawOut)];
    });
  } finally {
    await raw.close();
  }
}

/**
 * What stands between, in ms of the emulated CPU for 50 MB (28 Nov 2026, all in one guest). In: dd on the port 220; the least that reads it
 * into a pipe for cat 320; the agent 338, of which 13 % tell QEMU of each page that was read, 10 % are copies, and no other function has
 * more than 6 %; through a daemon on the same busy CPUs 440, and 590 with a window of 128 KiB. Out: dd 145; cat, and a splice of its pipe,
 * 180; the agent 185; through the daemon 260, and 350 with less credit on its way. A sum of 50 MB takes 140.
 *
 * With memory beside the line (driver/qemu/line-memory.ts), without a daemon, on a machine so busy (load 10 to 19) that only time of CPUs says
 * anything, the least of six, in ms of the emulated CPU + QEMU's other threads + Node. In: dd 428 + 188 + 23; the agent by the port 690 + 161 + 77,
 * by memory 491 to 541 + 37 + 51. Out: dd 249 + 43 + 37; by the port 426 + 96 + 122, by memory 451 + 43 + 120.
 *
 * Each time that the guest's kernel goes from one process to another, QEMU forgets where all pages and all translated code are: for 50 MB in, dd
 * has that 15 times and a process behind the agent 500 times, out 16 and 350 times.
 *
 * In ms until all is over, quiet (30 Nov 2026, medians): a command that does nothing 45 to 80; 50 MB in 338 of 237, out 220 of 173. A program in
 * the guest that writes them from its own memory into a pipe of 1 MiB for cat has 222 to 252 with the start of cat, as the agent leaves cat
 * the CPU (SCHED_BATCH), and 268 to 358 as processes have it. On its way in the emulated CPU works 312, and dd's 273; the rest of the
 * difference are client and daemon, which have the other CPU and some of its.
 */
const WHY = {
  in: 'dd copies twice, a process behind a pipe three times, each page of it made and freed by emulated instructions',
  out: 'a process behind a pipe makes its pages, which dd has once; client, daemon and shim have the same CPUs',
} as const;

type Run = (command: string, input?: Uint8Array) => Promise<number>;

/** A guest with a volume at /v, in which BYTES of data are; `run` gives ms. */
async function withGuest<T>(
  client: Client,
  driver: 'uml' | 'qemu',
  work: (run: Run, data: Uint8Array, directory: string) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'pk-streams-'));
  const data = Buffer.alloc(BYTES, 'some data ');
  await writeFile(join(directory, 'data'), data);
  const volumes = [{ source: directory, target: '/v', readOnly: false }];
  const name = `streams-${driver}`;
  try {
    const command = ['sleep', '100000'];
    await client.create({ name, driver, volumes, memoryBytes: MEMORY_BYTES, command, start: false });
    await client.start(name);
    return await work(
      async (command, input = Buffer.alloc(0)) => {
        const remote = await client.exec(name, { command: ['sh', '-c', command], cwd: '/', user: '0' });
        const began = performance.now();
        remote.stdin.on('error', () => {});
        remote.stdin.end(input);
        // As of a raw port: as it comes, and it is not put together.
        const ended = once(remote.stdout.resume(), 'end');
        remote.stderr.resume();
        const { exitCode } = await remote.exited;
        await ended;
        if (exitCode !== 0) throw new Error(`${command}: ${exitCode}`);
        return performance.now() - began;
      },
      data,
      directory,
    );
  } finally {
    await client.remove(name, { force: true }).catch(() => {});
    await rm(directory, { recursive: true, force: true });
  }
}
