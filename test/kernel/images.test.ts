/** The images that set-up pulls, booted for real: QEMU on the kernel taken out of Debian's bzImage, with its modules. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { GuestLink } from '../../src/guest/index.ts';
import { ImageStore, type KernelImage } from '../../src/image/contract.ts';
import { fetchKernel } from '../../src/image/debian.ts';
import { Apt } from '../../src/sys/apt.ts';
import { nativeProgram } from '../support/native.ts';

const BOOT_DEADLINE_MS = 60_000;
const KERNEL_LINE = [
  'quiet panic=-1 console=ttyS0 pk.control=virtio cryptomgr.notests rodata=off mitigations=off lpj=10000000 tsc_early_khz=3000000',
  'tsc=reliable no_timer_check random.trust_cpu=on selinux=0 apparmor=0 audit=0',
  'initcall_blacklist=init_kprobe_trace,load_system_certificate_list,init_zswap,i8042_init',
].join(' ');

let directory: string;
let children: ChildProcess[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-images-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(directory, { recursive: true, force: true });
});

async function debian(): Promise<KernelImage> {
  await nativeProgram('pk-init');
  const store = new ImageStore();
  const isThere = (await store.list()).some((image) => image.name === 'debian:amd64');
  if (!isThere) await store.pull('debian:amd64');
  return store.resolve('debian:amd64');
}

/** As soon as somebody listens there. */
async function connected(path: string, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    const isThere = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    if (isThere) return socket;
    await delay(5, undefined, { signal });
  }
}

/** Boots an image and shakes hands with its agent. */
async function boot(image: KernelImage): Promise<GuestLink> {
  const socket = join(directory, 'control');
  const machine = ['-accel', 'tcg,thread=multi', '-M', 'pc', '-m', '256', '-display', 'none', '-nodefaults'];
  const control = ['-device', 'virtio-serial-pci', '-chardev', `socket,id=c,path=${socket},server=on,wait=off`];
  const port = ['-device', 'virtserialport,chardev=c,name=polykernel', '-serial', `file:${directory}/console`];
  const kernel = ['-kernel', image.kernel, '-initrd', image.initramfs, '-append', KERNEL_LINE, '-no-reboot'];
  const arguments_ = [...machine, '-no-user-config', ...control, ...port, ...kernel];
  children.push(spawn('qemu-system-x86_64', arguments_, { stdio: ['ignore', 'inherit', 'inherit'] }));
  const deadline = AbortSignal.timeout(BOOT_DEADLINE_MS);
  const link = new GuestLink({ name: image.name });
  await link.attach(await connected(socket, deadline), deadline);
  return link;
}

it('boots the kernel out of the bzImage, and each purpose of modules loads', async () => {
  const image = await debian();
  expect(image.kind).toBe('x86_64');
  const link = await boot(image);
  expect(link.hello?.release).toBe(image.version);
  for (const purpose of ['share', 'overlay', 'squashfs', 'ext4', 'block'] as const) {
    const modules = image.modules[purpose] ?? [];
    expect(modules.length).toBeGreaterThan(0);
    await link.configure(modules.map((path) => ['module', path]));
  }
});

// Set-up fetches before the tests; where they have no network (.ci/run) this one has nothing to import.
const isOnline = Object.values(networkInterfaces()).some((all) => all?.some(({ internal }) => !internal));
it.runIf(isOnline)('imports a bzImage with its modules to the very image that pull makes', async () => {
  const agent = readFileSync(await nativeProgram('pk-init'));
  const apt = new Apt({ directory: join(directory, 'apt'), root: process.getuid?.() === 0, confined: true });
  const fetched = await fetchKernel('debian:amd64', { apt, scratch: join(directory, 'unpacked'), progress: () => {} });
  const options = {
    cache: directory,
    readPrograms: async () => ({ init: agent, tools: {} }),
    fetch: async () => fetched,
  };
  const store = new ImageStore(options);
  const pulled = await store.pull('debian:amd64');
  // A person gives the root of the unpacked package, and the directory of this kernel is found below it.
  const modules = join(directory, 'unpacked');
  const imported = await store.import({ name: 'mine', kernel: fetched.kernel, modules });
  expect(imported.digest).toBe(pulled.digest);
  expect(imported.source).toBe(fetched.kernel);
  // Without modules the agent could never be reached, but for kernels that have what it takes built in, as Debian 13's.
  const bare = store.import({ name: 'bare', kernel: (await store.resolve('mine')).kernel });
  const [list] = globSync('**/modules.builtin', { cwd: modules });
  if (readFileSync(join(modules, list!), 'utf8').includes('/virtio_console.ko')) await bare;
  else await expect(bare).rejects.toMatchObject({ code: 'invalid', field: '--modules' });
});
