/** The headline figures of `pk run`: what a kernel of one's own costs beyond the kernel. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../src/client/index.ts';
import { ImageStore, type KernelImage } from '../src/image/contract.ts';
import { toolPath } from '../src/sys/tools.ts';
import { hostProcesses } from '../test/support/host-processes.ts';
import { withDaemon } from './daemon.ts';
import { rawQemu, rawUml } from './raw.ts';
import { atMost, type Row } from './row.ts';
import { interleaved, timeProcess } from './timing.ts';

/** It gives back after ten seconds at rest (src/sys/give-back.ts). */
const REST_SECONDS = 20;
const PK = join(import.meta.dirname, '..', 'bin', 'pk');
const UML_ROUNDS = 15;
const QEMU_ROUNDS = 5;
const INSTANCES = 20;
const CONCURRENT = 16;
const LISTED = 100;

export async function run(progress: (text: string) => void): Promise<Row[]> {
  const images = new ImageStore();
  const [uml, amd64] = await Promise.all([images.resolve('debian:uml'), images.resolve('debian:amd64')]);
  return [
    ...(await withDaemon({}, async (home, client) => [
      ...(await umlStarts(home, uml, progress)),
      ...(await qemuStarts(home, client, amd64, progress)),
      ...(await concurrentStarts(client, uml, progress)),
    ])),
    ...(await withDaemon({}, (home, client) => daemonMemory(home, client, progress))),
    ...(await withDaemon({ POLYKERNEL_FAKE: '1' }, (home, client) => listing(home, client, progress))),
  ];
}

/** Time of one `bin/pk` command, start of the CLI included. */
const pk = (home: string, ...args: string[]) =>
  timeProcess([PK, ...args], { env: { ...process.env, POLYKERNEL_HOME: home }, cwd: '/' });

async function umlStarts(home: string, image: KernelImage, progress: (text: string) => void): Promise<Row[]> {
  progress('UML starts');
  const { raw, ours, node } = await interleaved(UML_ROUNDS, {
    raw: () => rawUml(image),
    ours: () => pk(home, 'run', '--driver', 'uml', '--', 'true'),
    node: () => timeProcess([process.execPath, '-e', '1']),
  });
  const peer = 'raw linux.uml to the agent hello, killed';
  const note = `the raw boot runs no command and mounts no root; the CLI's Node alone takes ${node.toFixed(0)} ms`;
  return [
    atMost(1.1, { name: 'uml: pk run -- true, cold as always', value: ours, unit: 'ms', peer, peerValue: raw, note }),
    atMost(2, { name: 'uml: pk run -- true, end to end', value: ours, unit: 'ms', peer, peerValue: raw, note }),
  ];
}

async function qemuStarts(
  home: string,
  client: Client,
  image: KernelImage,
  progress: (text: string) => void,
): Promise<Row[]> {
  progress('QEMU starts');
  await client.prewarm({ driver: 'qemu' });
  const program = toolPath('qemu-system-x86_64').path;
  const { raw, cold, clone } = await interleaved(QEMU_ROUNDS, {
    raw: () => rawQemu(image, program),
    cold: () => pk(home, 'run', '--driver', 'qemu', '--cold', '--', 'true'),
    clone: () => pk(home, 'run', '--driver', 'qemu', '--', 'true'),
  });
  return [
    atMost(1.1, {
      name: 'qemu: pk run --cold -- true',
      value: cold,
      unit: 'ms',
      peer: 'raw qemu to the agent hello, killed',
      peerValue: raw,
      note: 'the raw boot runs no command and mounts no root',
    }),
    atMost(0.15, {
      name: 'qemu: pk run -- true from a template',
      value: clone,
      unit: 'ms',
      peer: 'pk run --cold -- true',
      peerValue: cold,
    }),
  ];
}

async function daemonMemory(home: string, client: Client, progress: (text: string) => void): Promise<Row[]> {
  progress(`daemon with ${INSTANCES} instances`);
  const { pid } = await client.version();
  const before = residentMiB(pid);
  const names = Array.from({ length: INSTANCES }, (_, index) => `m${index}`);
  for (const name of names) {
    await client.create({ name, driver: 'uml', command: ['sleep', '100000'], memoryBytes: 64 * 2 ** 20, start: false });
    await client.start(name);
  }
  const busy = residentMiB(pid);
  const daemon = await residentAtRest(pid);
  // Of each instance: the shim and the jail. The rest is the VMM itself and the guest's memory.
  let helpers = 0;
  for (const process of await hostProcesses(join(home, 'instances'))) {
    const name = readFileSync(`/proc/${process}/comm`, 'utf8').trim();
    if (name === 'pk-shim' || name === 'bwrap') helpers += proportionalMiB(process);
  }
  for (const name of names) await client.remove(name, { force: true });
  const perInstance = helpers / INSTANCES + Math.max(0, busy - before) / INSTANCES;
  return [
    atMost(90, {
      name: `daemon RSS with ${INSTANCES} instances`,
      value: daemon,
      unit: 'MiB',
      peer: 'goal',
      peerValue: 90,
      of: 'value',
      note: `at rest; ${busy.toFixed(0)} MiB as the last of them starts, ${before.toFixed(0)} MiB before them`,
    }),
    atMost(10, {
      name: 'memory per instance beyond guest and VMM',
      value: perInstance,
      unit: 'MiB',
      peer: 'goal',
      peerValue: 10,
      of: 'value',
      note: "Pss of shim and jail, and the daemon's growth",
    }),
  ];
}

async function concurrentStarts(client: Client, image: KernelImage, progress: (text: string) => void): Promise<Row[]> {
  progress(`${CONCURRENT} kernels at once`);
  const { raw, ours } = await interleaved(3, {
    raw: async () => {
      const began = performance.now();
      await Promise.all(Array.from({ length: CONCURRENT }, (_, index) => rawUml(image, index % 2)));
      return performance.now() - began;
    },
    ours: async () => {
      const names = Array.from({ length: CONCURRENT }, (_, index) => `c${index}`);
      const began = performance.now();
      await Promise.all(
        names.map(async (name) => {
          await client.create({ name, driver: 'uml', command: ['sleep', '100000'], start: false });
          await client.start(name);
        }),
      );
      const took = performance.now() - began;
      await Promise.all(names.map((name) => client.remove(name, { force: true })));
      return took;
    },
  });
  return [
    atMost(1.3, {
      name: `uml: ${CONCURRENT} instances started at once, workload running`,
      value: ours,
      unit: 'ms',
      peer: `${CONCURRENT} raw kernels at once to their hello`,
      peerValue: raw,
    }),
  ];
}

async function listing(home: string, client: Client, progress: (text: string) => void): Promise<Row[]> {
  progress(`pk ps with ${LISTED} instances`);
  for (let index = 0; index < LISTED; index++) {
    await client.create({ name: `f${index}`, driver: 'fake', command: ['sleep', '100000'], start: false });
    await client.start(`f${index}`);
  }
  const { ps, node } = await interleaved(15, {
    ps: () => pk(home, 'ps'),
    node: () => timeProcess([process.execPath, '-e', '1']),
  });
  return [
    atMost(3, {
      name: `pk ps with ${LISTED} instances (fake driver)`,
      value: ps,
      unit: 'ms',
      peer: 'node -e 1',
      peerValue: node,
    }),
  ];
}

/** What a process keeps that gives back what it needs no longer: the least of some twenty seconds, in which it does nothing. */
async function residentAtRest(pid: number): Promise<number> {
  let least = residentMiB(pid);
  for (let second = 0; second < REST_SECONDS; second++) {
    await sleep(1000);
    least = Math.min(least, residentMiB(pid));
  }
  return least;
}

function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

function proportionalMiB(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1024;
}
