/**
 * A kernel within the emulated host of sriov-host.ts that owns one of its functions: QEMU there, with the arguments by which the product gives
 * a function to a guest, boots a Debian kernel that loads the driver for it. Two processors are emulated one within the other: minutes.
 */
import { realpathSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jailFunction, kernelCommandLine, qemuCommand } from '../../src/driver/qemu/command.ts';
import { findQemu } from '../../src/driver/qemu/program.ts';
import { buildInitramfs, guestEntries } from '../../src/guest/index.ts';
import { nativePath } from '../../src/sys/paths.ts';
import { debianImage, type EmulatedHost, modulesOf, NVME } from './sriov-host.ts';

/** Links to it are absolute, and would lead elsewhere there. */
const LOADER = realpathSync('/lib64/ld-linux-x86-64.so.2');

/** What its console says until `pattern`. Rejects after `deadlineMs` with what it said. */
export async function nestedKernel(
  host: EmulatedHost,
  { address, group }: { address: string; group: number },
  pattern: RegExp,
  deadlineMs: number,
): Promise<string> {
  const image = await debianImage();
  const directory = await mkdtemp(join(tmpdir(), 'pk-nested-'));
  try {
    const boot = modulesOf(image, NVME).map(({ name, content }) => ({ name: `${name}.ko`, content }));
    const initramfs = join(directory, 'initramfs');
    const init = await readFile(nativePath('pk-init'));
    await writeFile(initramfs, buildInitramfs(guestEntries({ init, tools: {} }, boot)));
    const qemu = await findQemu();
    const given = qemuCommand({
      ...{ accelerator: 'tcg', tscKhz: null, cpus: 1, memoryBytes: 2 ** 27, start: 'boot', hugePageBytes: null },
      ...{ program: qemu.path, firmware: [], rootImage: false, functions: [{ address, group, name: 'disk0' }] },
    }).filter((argument) => argument.startsWith('vfio-pci,'));
    const libraries = [...new Set(qemu.binds.map(({ target }) => target))].filter((path) => path.includes('/lib'));
    const parameters = kernelCommandLine({ accelerator: 'tcg', tscKhz: null }).replace('quiet', 'loglevel=7');
    await host.show(`/sys/bus/pci/devices/${address}`, jailFunction(address));
    return await host.until(
      [
        ...[
          `/host${LOADER}`,
          '--library-path',
          libraries.map((path) => `/host${realpathSync(path)}`).join(':'),
          `/host${qemu.path}`,
        ],
        ...qemu.firmware.flatMap((path) => ['-L', `/host${path}`]),
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
        ...['-machine', 'pc,usb=off,vmport=off,graphics=off', '-accel', 'tcg,tb-size=64', '-cpu', 'Nehalem,+rdrand'],
        ...['-m', '128M', '-device', given[0]!],
        ...['-kernel', `/host${image.kernel}`, '-initrd', `/host${initramfs}`, '-append', parameters],
      ],
      { QEMU_MODULE_DIR: '/host/usr/lib/x86_64-linux-gnu/qemu' },
      pattern,
      deadlineMs,
    );
  } finally {
    await rm(directory, { recursive: true });
  }
}
