/**
 * A kernel within the emulated host of sriov-host.ts that owns one of its functions: QEMU there, with the arguments by which the product gives
 * a function to a guest, boots a Debian kernel that loads the driver for it; from its start, or plugged in while it runs. Two processors are emulated one within the other: minutes.
 */
import { realpathSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { jailFunction, kernelCommandLine, qemuCommand } from '../../src/driver/qemu/command.ts';
import { addFunction, removeFunction } from '../../src/driver/qemu/plug-functions.ts';
import { findQemu } from '../../src/driver/qemu/program.ts';
import { Qmp } from '../../src/driver/qemu/qmp.ts';
import { buildInitramfs, guestEntries } from '../../src/guest/index.ts';
import { nativePath } from '../../src/sys/paths.ts';
import { debianImage, type EmulatedHost, modulesOf, NVME } from './sriov-host.ts';

/** Links to it are absolute, and would lead elsewhere there. */
const LOADER = realpathSync('/lib64/ld-linux-x86-64.so.2');

const ENVIRONMENT = { QEMU_MODULE_DIR: '/host/usr/lib/x86_64-linux-gnu/qemu' };

interface Given {
  address: string;
  group: number;
}

/** What the console of a kernel that is given a function from its start says until `pattern`. Rejects after `deadlineMs` with what it said. */
export async function nestedKernel(
  host: EmulatedHost,
  given: Given,
  pattern: RegExp,
  deadlineMs: number,
): Promise<string> {
  await host.show(`/sys/bus/pci/devices/${given.address}`, jailFunction(given.address));
  return await withCommand(({ program, arguments_, functionOf }) =>
    host.until(
      [...program, ...arguments_, '-serial', 'stdio', '-device', functionOf(given)],
      ENVIRONMENT,
      pattern,
      deadlineMs,
    ),
  );
}

/**
 * A kernel that runs is given a function as the product does, drives it (`pattern` on its console) and lets go of it again. Its memory
 * is a private view of a file, as that of a template's clone. Rejects after `deadlineMs` with what it said.
 */
export async function pluggedKernel(
  host: EmulatedHost,
  { address }: Given,
  pattern: RegExp,
  deadlineMs: number,
): Promise<void> {
  await host.show(`/sys/bus/pci/devices/${address}`, jailFunction(address));
  await withCommand(async ({ program, arguments_ }) => {
    const child = host.start(
      [
        ...[...program, ...arguments_, '-serial', 'file:/proc/self/fd/2', '-qmp', 'stdio'],
        ...['-object', 'memory-backend-file,id=ram,size=128M,mem-path=/ram,share=off'],
        ...['-machine', 'memory-backend=ram'],
      ],
      ENVIRONMENT,
    );
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const late = AbortSignal.timeout(deadlineMs);
    const until = async (what: RegExp) => {
      while (!what.test(said)) {
        if (late.aborted || child.exit !== undefined) throw new Error(`it did not say ${what}: ${said.slice(-3000)}`);
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    };
    const monitor = await Qmp.open(Duplex.from({ readable: child.stdout, writable: child.stdin } as never), 'test', {
      deadlineMs,
    });
    try {
      await until(/Run \/init as init process/);
      await addFunction(monitor, address);
      await until(pattern);
      await removeFunction(monitor, address, deadlineMs);
    } finally {
      monitor.close();
      child.signal(9);
      await child.exited;
    }
  });
}

/** The product's own arguments, as far as they do not need what is not there. */
async function withCommand<T>(
  use: (command: {
    program: readonly string[];
    arguments_: readonly string[];
    functionOf(given: Given): string;
  }) => Promise<T>,
): Promise<T> {
  const image = await debianImage();
  const directory = await mkdtemp(join(tmpdir(), 'pk-nested-'));
  try {
    const boot = modulesOf(image, NVME).map(({ name, content }) => ({ name: `${name}.ko`, content }));
    const initramfs = join(directory, 'initramfs');
    const init = await readFile(nativePath('pk-init'));
    await writeFile(initramfs, buildInitramfs(guestEntries({ init, tools: {} }, boot)));
    const qemu = await findQemu();
    const functionOf = ({ address, group }: Given): string =>
      qemuCommand({
        ...{ accelerator: 'tcg', tscKhz: null, cpus: 1, memoryBytes: 2 ** 27, start: 'boot', hugePageBytes: null },
        ...{ program: qemu.path, firmware: [], rootImage: false, functions: [{ address, group, name: 'disk0' }] },
      }).find((argument) => argument.startsWith('vfio-pci,'))!;
    const libraries = [...new Set(qemu.binds.map(({ target }) => target))].filter((path) => path.includes('/lib'));
    const parameters = kernelCommandLine({ accelerator: 'tcg', tscKhz: null }).replace('quiet', 'loglevel=7');
    return await use({
      program: [
        ...[`/host${LOADER}`, '--library-path', libraries.map((path) => `/host${realpathSync(path)}`).join(':')],
        `/host${qemu.path}`,
      ],
      arguments_: [
        ...qemu.firmware.flatMap((path) => ['-L', `/host${path}`]),
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
        ...['-machine', 'pc,usb=off,vmport=off,graphics=off', '-accel', 'tcg,tb-size=64', '-cpu', 'Nehalem,+rdrand'],
        ...['-chardev', 'null,id=ctl', '-device', 'virtio-serial-pci,id=ports,max_ports=2'],
        ...['-device', 'virtserialport,chardev=ctl,bus=ports.0,nr=1,name=polykernel', '-m', '128M'],
        ...['-kernel', `/host${image.kernel}`, '-initrd', `/host${initramfs}`, '-append', parameters],
      ],
      functionOf,
    });
  } finally {
    await rm(directory, { recursive: true });
  }
}
