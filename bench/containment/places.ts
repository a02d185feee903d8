/** Where faults are brought about: beside a kernel that owns a CPU of its own, and in one kernel for all. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../src/client/index.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { allowedCpus } from '../../src/sys/process.ts';
import type { Place } from './windows.ts';

const MEMORY = { uml: '64MiB', qemu: '128MiB' } as const;
const DISK = '/disk';

/** Two kernels; the neighbour owns the last CPU where there is more than one to be had. Undone by destroy(). */
export async function twoKernels(client: Client, home: string, driver: 'uml' | 'qemu'): Promise<Place> {
  const cpu = allowedCpus().length > 1 ? allowedCpus().at(-1) : undefined;
  const apply = (owned: number | undefined) => {
    const text = stackText(home, driver, owned);
    return client.apply({ text, file: 'containment.yaml', directory: home, defaultName: 'containment' });
  };
  let where = cpu === undefined ? 'both on one CPU' : `the neighbour on CPU ${cpu}, its own`;
  try {
    await apply(cpu);
  } catch (error) {
    if (cpu === undefined || !(error instanceof PolykernelError) || error.code !== 'conflict') throw error;
    where = 'no CPU of its own: another daemon has the pool of this machine';
    await apply(undefined);
  }
  const { address } = await client.inspect('neighbour');
  const disks = { victim: `${DISK}/file`, neighbour: `${DISK}/file` };
  return { client, victim: 'victim', neighbour: 'neighbour', disks, target: address ?? '127.0.0.1', where };
}

function stackText(home: string, driver: 'uml' | 'qemu', cpu: number | undefined): string {
  const memory = MEMORY[driver];
  const kernel = (name: string, owned: string) => {
    const directory = join(home, 'disks', name);
    mkdirSync(directory, { recursive: true, mode: 0o777 });
    return `  ${name}: {driver: ${driver}, network: private, command: [sleep, infinity], volumes: ['${directory}:${DISK}'], ${owned}}`;
  };
  return [
    ...(cpu === undefined ? [] : [`pool: {cpus: ${cpu}, memory: 256MiB}`]),
    'kernels:',
    kernel('victim', `memory: ${memory}`),
    kernel('neighbour', cpu === undefined ? `memory: ${memory}` : `partition: {cpus: 1, memory: ${memory}}`),
    '',
  ].join('\n');
}

/** One kernel with the CPUs and the memory of both. */
export async function sharedKernel(client: Client, home: string): Promise<Place> {
  const directory = join(home, 'disks', 'shared');
  mkdirSync(directory, { recursive: true, mode: 0o777 });
  const size = { driver: 'qemu', cpus: 2, memoryBytes: 256 * 2 ** 20 } as const;
  await client.prewarm(size);
  const volumes = [{ source: directory, target: DISK }];
  await client.create({ ...size, name: 'shared', command: ['sleep', 'infinity'], volumes, start: false });
  await client.start('shared');
  const disks = { victim: `${DISK}/file`, neighbour: `${DISK}/neighbour` };
  return { client, victim: 'shared', neighbour: 'shared', disks, target: '127.0.0.1', where: 'both CPUs for all' };
}

/** What the victim gets of a shared kernel: half of everything that cgroup v2 can halve there. */
export const HALF = `set -e
mkdir -p /tmp/groups
test -e /tmp/groups/cgroup.procs || mount -t cgroup2 none /tmp/groups
echo '+cpu +memory +pids' > /tmp/groups/cgroup.subtree_control
mkdir -p /tmp/groups/victim
cd /tmp/groups/victim
echo '100000 100000' > cpu.max
echo 100M > memory.max
echo 64 > pids.max
echo $$ > cgroup.procs
cd /`;
