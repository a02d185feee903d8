/**
 * A host with virtual functions, emulated: a q35 machine with an IOMMU, and NVMe controllers that have them, in which a Debian kernel
 * runs pk-init and, on the product's behalf, pk-sysfs. The product itself runs outside: Node on an emulated processor takes minutes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildInitramfs, GuestLink, type InitramfsEntry } from '../../src/guest/index.ts';
import { ImageStore, type KernelImage } from '../../src/image/contract.ts';
import { indexModules, loadOrder, readModuleInfo } from '../../src/image/modules.ts';
import type { Sysfs } from '../../src/sriov/sysfs.ts';
import { SysfsProcess } from '../../src/sriov/sysfs-process.ts';
import { until } from '../../src/sriov/waits.ts';
import { systemClock } from '../../src/sys/clock.ts';
import { nativePath } from '../../src/sys/paths.ts';
import { toolPath } from '../../src/sys/tools.ts';
import { collect } from './collect.ts';

export interface HostShape {
  /** Physical functions, and what each can have. */
  cards: number;
  virtual: number;
  memoryMib?: number;
  /** More arguments of QEMU. */
  more?: readonly string[];
}

export interface EmulatedHost {
  sysfs: Sysfs;
  /** Runs a program of `/pk` there; its output. Rejects unless it ends with 0. */
  run(...command: string[]): Promise<string>;
  end(): Promise<void>;
}

/** Of sums that others ask the crypto layer for by name: they depend on nobody, and nobody on them. */
const SUMS = ['crct10dif_generic', 'crc64_rocksoft_generic'];
const WANTED = [...SUMS, 'nvme', 'vfio_iommu_type1', 'vfio_pci'];
const TOOLS = ['pk-sysfs', 'pk-vfio-nvme'] as const;
const PARAMETERS =
  'quiet panic=-1 console=ttyS0 pk.control=virtio cryptomgr.notests random.trust_cpu=on no_timer_check audit=0';
const FASTER = 'rodata=off mitigations=off nowatchdog selinux=0 apparmor=0 intel_iommu=on iommu=pt';

/** Rejects when it does not answer within `deadlineMs`. */
export async function emulatedHost(shape: HostShape, deadlineMs = 180_000): Promise<EmulatedHost> {
  const directory = await mkdtemp(join(tmpdir(), 'pk-sriov-'));
  const image = await debianImage();
  const modules = await writeInitramfs(image, join(directory, 'initramfs'));
  const qemu = startQemu(shape, directory, image);
  const guest = new GuestLink({ name: 'the emulated host', isPort: true });
  const end = async () => {
    guest.destroy();
    if (qemu.exitCode === null && qemu.signalCode === null) {
      qemu.kill('SIGKILL');
      await once(qemu, 'exit');
    }
    await rm(directory, { recursive: true });
  };
  try {
    const signal = AbortSignal.timeout(deadlineMs);
    const ended = once(qemu, 'exit').then(async () => {
      throw new Error(`QEMU ended: ${await readFile(join(directory, 'console'), 'utf8').catch(() => '')}`);
    });
    ended.catch(() => {});
    const socket = await Promise.race([
      ended,
      until(() => connected(join(directory, 'control')), deadlineMs, systemClock, signal),
    ]);
    await Promise.race([ended, guest.attach(socket!, signal)]);
    await guest.configure(
      modules.map((path) => ['module', path] as const),
      signal,
    );
    const exec = (command: string[]) => guest.exec({ command, env: { PATH: '/pk' }, cwd: '/', user: '0' });
    const sysfs = new SysfsProcess(() => {
      const child = exec(['pk-sysfs', '/sys']);
      return { input: child.stdin, output: child.stdout, end: () => child.stdin.end() };
    });
    const run = async (...command: string[]) => {
      const { stdout, stderr, exit } = await collect(exec(command));
      if (exit.kind !== 'exit' || exit.value !== 0)
        throw new Error(`${command.join(' ')} ended with ${exit.value}: ${stderr}${exit.message}`);
      return stdout;
    };
    return { sysfs, run, end };
  } catch (error) {
    const log = await readFile(join(directory, 'console'), 'utf8').catch(() => '');
    await end();
    throw new Error(`the emulated host did not come up: ${(error as Error).message}\n${log.slice(-2000)}`);
  }
}

async function debianImage(): Promise<KernelImage> {
  const store = new ImageStore();
  if (!(await store.list()).some(({ name }) => name === 'debian:amd64')) await store.pull('debian:amd64');
  return await store.resolve('debian:amd64');
}

const modulePath = (name: string) => `/lib/modules/${name}.ko`;

/** The image's own, and behind it the modules and programs of such a host. Gives the modules' paths in load order. */
async function writeInitramfs(image: KernelImage, path: string): Promise<string[]> {
  const index = indexModules(image.moduleTree!);
  const contents = new Map<string, Buffer>();
  const contentOf = (name: string) => {
    const from = index.get(name);
    if (from !== undefined && !contents.has(name)) contents.set(name, readFileSync(from));
    return contents.get(name);
  };
  const dependsOf = (name: string) => {
    const content = contentOf(name);
    return content && readModuleInfo(name, content).depends;
  };
  const order = loadOrder(WANTED, dependsOf);
  const entries = order.map((name): InitramfsEntry => {
    return { kind: 'file', path: modulePath(name), mode: 0o644, content: contentOf(name)! };
  });
  for (const name of TOOLS) {
    const content = await readFile(nativePath(name));
    entries.push({ kind: 'file', path: `/pk/${name}`, mode: 0o755, content });
  }
  await writeFile(path, Buffer.concat([await readFile(image.initramfs), buildInitramfs(entries)]));
  return order.map(modulePath);
}

function startQemu(
  { cards, virtual, memoryMib = 512, more = [] }: HostShape,
  directory: string,
  image: KernelImage,
): ChildProcess {
  const card = (index: number) => [
    ...['-device', `pcie-root-port,id=rp${index},slot=${index + 1},chassis=${index + 1}`],
    ...['-device', `nvme-subsys,id=sub${index},nqn=pk${index}`],
    '-device',
    `nvme,id=nv${index},serial=PK${index},subsys=sub${index},bus=rp${index},sriov_max_vfs=${virtual},sriov_vq_flexible=${2 * virtual},sriov_vi_flexible=${virtual},max_ioqpairs=${2 * virtual + 2},msix_qsize=${virtual + 1}`,
  ];
  const tool = toolPath('qemu-system-x86_64');
  return spawn(
    tool.path,
    [
      ...['-accel', 'tcg,thread=multi,tb-size=256', '-cpu', 'Nehalem,+rdrand', '-smp', '1', '-m', `${memoryMib}M`],
      ...['-machine', 'q35,usb=off,vmport=off,graphics=off,kernel-irqchip=off'],
      ...['-device', 'intel-iommu,intremap=on,caching-mode=on'],
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
      ...['-serial', `file:${join(directory, 'console')}`],
      ...['-chardev', `socket,id=ctl,path=${join(directory, 'control')},server=on,wait=off`],
      ...['-device', 'virtio-serial-pci,id=ports,max_ports=2'],
      ...['-device', 'virtserialport,chardev=ctl,bus=ports.0,nr=1,name=polykernel'],
      ...Array.from({ length: cards }, (_, index) => card(index)).flat(),
      ...['-kernel', image.kernel, '-initrd', join(directory, 'initramfs'), '-append', `${PARAMETERS} ${FASTER}`],
      ...more,
    ],
    { stdio: 'ignore', env: { ...process.env, ...tool.env } },
  );
}

const connected = (path: string) =>
  new Promise<ReturnType<typeof connect> | undefined>((resolve) => {
    const socket = connect(path, () => resolve(socket)).on('error', () => resolve(undefined));
  });
