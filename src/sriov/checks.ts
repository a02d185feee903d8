/** Whether PCI functions can be given to kernels here. */
import { type Check, programCheck, toolCheck } from '../core/check.ts';
import { asPolykernelError } from '../sys/errors.ts';
import { run } from '../sys/process.ts';
import { findTool } from '../sys/tools.ts';
import { checkVfio } from './binding.ts';
import type { Sysfs } from './sysfs.ts';

const EMULATES_CARDS = 8;

/** Of tests, which nothing else needs: since version 8 QEMU has a network card with virtual functions (igb). */
async function emulatedCard(): Promise<Check[]> {
  const tool = findTool('qemu-system-x86_64');
  if (tool === undefined) return [];
  // One that does not run is told elsewhere.
  const asked = await run([tool.path, '--version'], { env: tool.env, deadlineMs: 10_000 }).catch(() => undefined);
  const [, version = '', major] = /version ((\d+)\.[\d.]+)/.exec(asked?.stdout ?? '') ?? [];
  if (version === '') return [];
  const id = 'pci-emulated-card';
  if (Number(major) >= EMULATES_CARDS)
    return [{ id, status: 'ok', summary: `QEMU ${version} emulates a network card with virtual functions, for tests` }];
  const summary = `QEMU ${version} emulates no network card with virtual functions: tests with one are left out`;
  return [{ id, status: 'ok', summary, hint: "Debian 12's backports have QEMU 10." }];
}

/** `sysfs`: undefined where this daemon gives none away. What a machine does not have for it is told, and is no fault. */
export async function sriovChecks(sysfs: Sysfs | undefined): Promise<Check[]> {
  const parts = [
    programCheck('pci-parts', 'PCI functions are looked at', { natives: ['pk-sysfs'] }),
    toolCheck('pci-network', 'ip', 'networks of virtual functions are set'),
    ...(await emulatedCard()),
  ];
  if (sysfs === undefined || parts[0]!.status !== 'ok') return parts;
  const id = 'pci-functions';
  try {
    await checkVfio(sysfs);
    return [...parts, { id, status: 'ok', summary: 'PCI functions can be given to kernels (IOMMU, vfio-pci)' }];
  } catch (error) {
    const { message, hint } = asPolykernelError(error, 'looking for an IOMMU');
    return [
      ...parts,
      { id, status: 'ok', summary: `PCI functions stay the host's: ${message}`, ...(hint && { hint }) },
    ];
  }
}
