/**
 * A host with virtual functions, emulated: a q35 machine with an IOMMU, and NVMe controllers that have them, in which a Debian kernel
 * runs pk-init and, on the product's behalf, pk-sysfs. The product itself runs outside: Node on an emulated processor takes minutes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, realpathSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { libraryBinds } from '../../src/driver/jail/host.ts';
import { buildInitramfs, GuestLink, type GuestProcess, type InitramfsEntry, type Pair } from '../../src/guest/index.ts';
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
  /** Files of this machine are at /host there, read-only. */
  sharesFiles?: boolean;
  /** More arguments of QEMU, and modules of the kernel. */
  more?: readonly string[];
  modules?: readonly string[];
}

export interface EmulatedHost {
  sysfs: Sysfs;
  /** Runs a program of `/pk` there; its output. Rejects unless it ends with 0. */
  run(...command: string[]): Promise<string>;
  /** Starts a program there. */
  start(command: readonly string[], env: Readonly<Record<string, string>>): GuestProcess;
  /** Runs a program there until its output has `pattern`, and ends it; its output. Rejects after `deadlineMs`, or when it ends before. */
  until(
    command: readonly string[],
    env: Readonly<Record<string, string>>,
    pattern: RegExp,
    deadlineMs: number,
  ): Promise<string>;
  /** Shows a directory at another place too, as a jail does. */
  show(directory: string, at: string): Promise<void>;
  end(): Promise<void>;
}

/** Of sums that others ask the crypto layer for by name: they depend on nobody, and nobody on them. */
const SUMS = ['crct10dif_generic', 'crc64_rocksoft_generic'];
export const NVME = [...SUMS, 'nvme'];
const WANTED = [...NVME, 'vfio_iommu_type1', 'vfio_pci'];
const TOOLS = ['pk-sysfs', 'pk-vfio-nvme'] as const;
const PARAMETERS =
  'quiet panic=-1 console=ttyS0 pk.control=virtio cryptomgr.notests random.trust_cpu=on no_timer_check audit=0';
const FASTER = 'rodata=off mitigations=off nowatchdog selinux=0 apparmor=0 intel_iommu=on iommu=pt';

const SHARE: readonly Pair[] = [
  ['mkdir', '/host'],
  ['mount', ['9p', 'files', '/host', 'ro', 'trans=virtio,version=9p2000.L,msize=512000,cache=loose'].join('\x1f')],
];

/** Rejects when it does not answer within `deadlineMs`, or is not wanted any more. */
export async function emulatedHost(
  shape: HostShape,
  deadlineMs = 180_000,
  leave = new AbortController().signal,
): Promise<EmulatedHost> {
  const directory = await mkdtemp(join(tmpdir(), 'pk-sriov-'));
  const image = await debianImage();
  const modules = await writeInitramfs(image, join(directory, 'initramfs'), shape.modules ?? []);
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
    const signal = AbortSignal.any([AbortSignal.timeout(deadlineMs), leave]);
    const ended = once(qemu, 'exit').then(async () => {
      throw new Error(`QEMU ended: ${await readFile(join(directory, 'console'), 'utf8').catch(() => '')}`);
    });
    ended.catch(() => {});
    const socket = await Promise.race([
      ended,
      until(() => connected(join(directory, 'control')), deadlineMs, systemClock, signal),
    ]);
    await Promise.race([ended, guest.attach(socket!, signal)]);
    const later = shape.sharesFiles ? [...modules, ...(image.modules.share ?? [])] : modules;
    await guest.configure(
      [...later.map((path): Pair => ['module', path]), ...(shape.sharesFiles ? SHARE : [])],
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
    const start: EmulatedHost['start'] = (command, env) =>
      guest.exec({ command, env: { PATH: '/pk', ...env }, cwd: '/', user: '0' });
    const untilSaid: EmulatedHost['until'] = async (command, env, pattern, patience) => {
      const child = start(command, env);
      let said = '';
      const seen = new Promise<void>((resolve) => {
        const take = (text: string) => {
          said += text;
          if (pattern.test(said)) resolve();
        };
        for (const output of [child.stdout, child.stderr]) output.setEncoding('utf8').on('data', take);
      });
      const late = AbortSignal.timeout(patience);
      const ended = Promise.all([child.exited, once(child.stdout, 'close'), once(child.stderr, 'close')]);
      const failed = Promise.race([ended, once(late, 'abort')]).then(() => {
        throw new Error(`${command[0]} did not say ${pattern} (${JSON.stringify(child.exit)}): ${said.slice(-3000)}`);
      });
      failed.catch(() => {});
      try {
        await Promise.race([seen, failed]);
        return said;
      } finally {
        child.signal(9);
        await child.exited;
      }
    };
    const show = (from: string, at: string) => {
      const parents = at
        .split('/')
        .slice(2)
        .map((_, index, all) => `/${[at.split('/')[1], ...all.slice(0, index + 1)].join('/')}`);
      const made = [`/${at.split('/')[1]}`, ...parents].map((path): Pair => ['mkdir', path]);
      return guest.configure([...made, ['mount', ['', from, at, 'bind', ''].join('\x1f')]]);
    };
    return { sysfs, run, start, until: untilSaid, show, end };
  } catch (error) {
    const log = await readFile(join(directory, 'console'), 'utf8').catch(() => '');
    await end();
    throw new Error(`the emulated host did not come up: ${(error as Error).message}\n${log.slice(-2000)}`);
  }
}

/** Runs a program of this machine in a host that shares files; its output. Rejects as run(). */
export async function hostProgram(host: EmulatedHost, name: string, ...args: string[]): Promise<string> {
  const { path } = toolPath(name);
  const libraries = await libraryBinds(realpathSync(path));
  const directories = [...new Set(libraries.map(({ source }) => `/host${dirname(realpathSync(source))}`))];
  const loader = realpathSync('/lib64/ld-linux-x86-64.so.2');
  return await host.run(
    `/host${loader}`,
    '--library-path',
    directories.join(':'),
    `/host${realpathSync(path)}`,
    ...args,
  );
}

export async function debianImage(): Promise<KernelImage> {
  const store = new ImageStore();
  if (!(await store.list()).some(({ name }) => name === 'debian:amd64')) await store.pull('debian:amd64');
  return await store.resolve('debian:amd64');
}

const modulePath = (name: string) => `/lib/modules/${name}.ko`;

/** Modules of an image and all that they need, in load order. */
export function modulesOf(image: KernelImage, wanted: readonly string[]): { name: string; content: Buffer }[] {
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
  return loadOrder(wanted, dependsOf).map((name) => ({ name, content: contentOf(name)! }));
}

/** The image's own, and behind it the modules and programs of such a host. Gives the modules' paths in load order. */
async function writeInitramfs(image: KernelImage, path: string, more: readonly string[]): Promise<string[]> {
  const modules = modulesOf(image, [...WANTED, ...more]);
  const entries = modules.map(({ name, content }): InitramfsEntry => {
    return { kind: 'file', path: modulePath(name), mode: 0o644, content };
  });
  for (const name of TOOLS) {
    const content = await readFile(nativePath(name));
    entries.push({ kind: 'file', path: `/pk/${name}`, mode: 0o755, content });
  }
  await writeFile(path, Buffer.concat([await readFile(image.initramfs), buildInitramfs(entries)]));
  return modules.map(({ name }) => modulePath(name));
}

function startQemu(
  { cards, virtual, memoryMib = 512, sharesFiles = false, more = [] }: HostShape,
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
      ...(sharesFiles
        ? [
            ...['-fsdev', 'local,id=files,path=/,security_model=none,readonly=on,multidevs=remap'],
            ...['-device', 'virtio-9p-pci,fsdev=files,mount_tag=files'],
          ]
        : []),
      ...more,
    ],
    { stdio: 'ignore', env: { ...process.env, ...tool.env } },
  );
}

const connected = (path: string) =>
  new Promise<ReturnType<typeof connect> | undefined>((resolve) => {
    const socket = connect(path, () => resolve(socket)).on('error', () => resolve(undefined));
  });
