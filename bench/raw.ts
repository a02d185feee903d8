/**
 * Raw boots: the kernel started by nothing but its own command line, with the same initramfs and the same parameters as
 * Polykernel's, until its agent says hello on the control line, then killed. No jail, no shim, no daemon, no workload.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { qemuCommand } from '../src/driver/qemu/command.ts';
import { tscKhz } from '../src/driver/qemu/host-clock.ts';
import { UML_INITRAMFS, UML_KERNEL, umlCommand } from '../src/driver/uml/command.ts';
import { LpjCache } from '../src/driver/uml/lpj.ts';
import type { KernelImage } from '../src/image/contract.ts';
import { cacheDirectory, nativePath } from '../src/sys/paths.ts';
import { said } from './timing.ts';

/** The agent's first frame: magic and the type of HELLO. */
const HELLO = 'PK\x40';
const MEMORY_BYTES = 256 * 2 ** 20;

/** ms from spawn to the agent's hello and the process's end. */
export async function rawUml(image: KernelImage, cpu = 0): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'pk-raw-'));
  const lpj = await new LpjCache(join(cacheDirectory(), 'uml-lpj.json')).get(image.digest);
  const words = umlCommand(
    { memoryBytes: MEMORY_BYTES, root: { kind: 'host' }, regions: [], network: null },
    5,
    lpj,
  ).map((word) => (word === UML_KERNEL ? image.kernel : word.replace(UML_INITRAMFS, image.initramfs)));
  return untilHello(
    ['taskset', '-c', String(cpu), 'setarch', '-R', ...words],
    directory,
    ['pipe', 'ignore', 'inherit', 'pipe'],
    (child) => said(child, child.stdio[3] as NodeJS.ReadableStream, HELLO),
    { LD_PRELOAD: nativePath('pk-xstate.so') },
  );
}

/** QEMU's command line with the control port on the socket `control` and the files of `share`, and without a monitor. */
export async function rawQemuWords(
  image: KernelImage,
  program: string,
  { control, share, memoryBytes }: { control: string; share: string; memoryBytes: number },
): Promise<string[]> {
  return qemuCommand({
    program,
    firmware: [],
    accelerator: 'tcg',
    tscKhz: await tscKhz(join(cacheDirectory(), 'host-clock.json')),
    cpus: 1,
    memoryBytes,
    start: 'boot',
    rootImage: false,
    hugePageBytes: null,
  })
    .map((word) => word.replace('/vmm/kernel', image.kernel).replace('/vmm/initramfs', image.initramfs))
    .map((word) => (word.includes('id=ctl') ? `socket,id=ctl,path=${control}` : word))
    .map((word) => (word.includes('id=mon,fd') ? 'null,id=mon' : word.replace('path=/export', `path=${share}`)));
}

export async function rawQemu(image: KernelImage, program: string): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'pk-raw-'));
  const server = createServer().listen(join(directory, 'control'));
  await once(server, 'listening');
  const control = join(directory, 'control');
  const words = await rawQemuWords(image, program, { control, share: directory, memoryBytes: MEMORY_BYTES });
  const connected = once(server, 'connection');
  try {
    return await untilHello(words, directory, ['ignore', 'ignore', 'inherit'], async (child) => {
      const [socket] = (await connected) as [NodeJS.ReadableStream];
      await said(child, socket, HELLO);
    });
  } finally {
    server.close();
  }
}

async function untilHello(
  argv: readonly string[],
  directory: string,
  stdio: StdioOptions,
  hello: (child: ChildProcess) => Promise<void>,
  env: NodeJS.ProcessEnv = {},
): Promise<number> {
  const began = performance.now();
  const child = spawn(argv[0]!, argv.slice(1), {
    cwd: directory,
    stdio,
    detached: true,
    env: { ...process.env, ...env },
  });
  const ended = once(child, 'exit');
  try {
    await hello(child);
  } finally {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    await ended;
  }
  const took = performance.now() - began;
  rmSync(directory, { recursive: true, force: true });
  return took;
}
