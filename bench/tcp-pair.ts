/**
 * TCP between two UML kernels over a virtual link with nothing in between (two ends of one socket pair), in C on both ends:
 * the least that a network between kernels can cost here.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { UML_INITRAMFS, UML_KERNEL, umlCommand } from '../src/driver/uml/command.ts';
import { LpjCache } from '../src/driver/uml/lpj.ts';
import { GuestLink } from '../src/guest/index.ts';
import type { KernelImage } from '../src/image/contract.ts';
import { cacheDirectory, nativeBinary } from '../src/sys/paths.ts';

/** Where each kernel gets it: no guest has it of itself. */
const PROGRAM = '/run/pk-ring-bench';
const LINK_FD = 4;
const AF_UNIX = 1;
const SOCK_DGRAM = 2;

interface Kernel {
  child: ChildProcess;
  guest: GuestLink;
}

/** Nanoseconds of a round trip of 64 bytes. */
export async function tcpRoundTrip(image: KernelImage, count: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'pk-tcp-'));
  const link = new Int32Array(2);
  const { load } = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const socketpair = load(null).func('int socketpair(int domain, int type, int protocol, int *pair)');
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, link) !== 0) throw new Error('socketpair failed');
  const kernels: Kernel[] = [];
  try {
    for (const cpu of [0, 1]) kernels.push(await boot(image, directory, cpu, link[cpu]!));
    const [server, client] = kernels.map(({ guest }) => guest) as [GuestLink, GuestLink];
    const echo = run(server, 'tcp-echo', 'vec0', '10.99.0.1');
    let said = '';
    echo.stdout.on('data', (chunk) => {
      said += chunk;
    });
    echo.stderr.on('data', (chunk) => {
      said += chunk;
    });
    while (!said.includes('ready')) await Promise.race([once(echo.stdout, 'data'), ended(echo, () => said)]);
    const ping = run(client, 'tcp-ping', 'vec0', '10.99.0.2', '10.99.0.1', String(count));
    let answer = '';
    ping.stdout.on('data', (chunk) => {
      answer += chunk;
    });
    ping.stderr.on('data', (chunk) => {
      answer += chunk;
    });
    const exit = await ping.exited;
    if (exit.kind !== 'exit' || exit.value !== 0) throw new Error(`tcp-ping: ${answer}`);
    return Number(answer);
  } finally {
    for (const { child, guest } of kernels) {
      guest.destroy();
      process.kill(-child.pid!, 'SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    for (const fd of link) closeSync(fd);
    rmSync(directory, { recursive: true, force: true });
  }
}

const run = (guest: GuestLink, ...args: string[]) =>
  guest.exec({ command: [PROGRAM, ...args], env: {}, cwd: '/', user: '0' });

async function ended(process: ReturnType<typeof run>, why: () => string): Promise<never> {
  const exit = await process.exited;
  throw new Error(`tcp-echo ended with ${exit.value}: ${why()}`);
}

async function boot(image: KernelImage, directory: string, cpu: number, link: number): Promise<Kernel> {
  const lpj = await new LpjCache(join(cacheDirectory(), 'uml-lpj.json')).get(image.digest);
  const command = umlCommand(
    { memoryBytes: 256 * 2 ** 20, root: { kind: 'host' }, regions: [], network: null },
    5,
    lpj,
  ).map((word) => (word === UML_KERNEL ? image.kernel : word.replace(UML_INITRAMFS, image.initramfs)));
  const argv = ['taskset', '-c', String(cpu), 'setarch', '-R', ...command, `vec0:transport=fd,fd=${LINK_FD}`];
  const uml = argv.map((word) => (word.startsWith('umid=') ? `umid=tcp${cpu}` : word));
  const child = spawn(uml[0]!, uml.slice(1), {
    cwd: directory,
    stdio: ['pipe', 'ignore', 'inherit', 'pipe', link],
    detached: true,
    env: { ...process.env, LD_PRELOAD: nativeBinary('pk-xstate.so') },
  });
  const guest = new GuestLink({ name: `tcp${cpu}` });
  await guest.attach(child.stdio[3] as Duplex, AbortSignal.timeout(30_000));
  await guest.writeFile(PROGRAM, 0o755, readFileSync(nativeBinary('pk-ring-bench')));
  return { child, guest };
}
