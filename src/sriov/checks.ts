/** Whether PCI functions can be given to kernels here. */
import { type Check, programCheck } from '../core/check.ts';
import { asPolykernelError } from '../sys/errors.ts';
import { checkVfio } from './binding.ts';
import type { Sysfs } from './sysfs.ts';

/** `sysfs`: undefined where this daemon gives none away. What a machine does not have for it is told, and is no fault. */
export async function sriovChecks(sysfs: Sysfs | undefined): Promise<Check[]> {
  const parts = programCheck('pci-parts', 'PCI functions are looked at', { natives: ['pk-sysfs'] });
  if (sysfs === undefined || parts.status !== 'ok') return [parts];
  const id = 'pci-functions';
  try {
    await checkVfio(sysfs);
    return [parts, { id, status: 'ok', summary: 'PCI functions can be given to kernels (IOMMU, vfio-pci)' }];
  } catch (error) {
    const { message, hint } = asPolykernelError(error, 'looking for an IOMMU');
    return [parts, { id, status: 'ok', summary: `PCI functions stay the host's: ${message}`, ...(hint && { hint }) }];
  }
}
