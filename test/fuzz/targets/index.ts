/** Every decoder of what comes from a guest, a VMM, a tool, a file or a client. */
import type { Target } from '../target.ts';
import { apiTargets } from './api.ts';
import { cliTargets } from './cli.ts';
import { deviceTreeTargets } from './devicetree.ts';
import { driverTargets } from './driver.ts';
import { fileTargets } from './files.ts';
import { guestTargets } from './guest.ts';
import { guestLinkTargets } from './guest-link.ts';
import { imageTargets } from './image.ts';
import { pciTargets } from './pci.ts';
import { recordTargets } from './records.ts';
import { ringTargets } from './ring.ts';
import { serviceTargets } from './service.ts';
import { stackTargets } from './stack.ts';
import { streamTargets } from './stream.ts';
import { textTargets } from './text.ts';
import { topologyTargets } from './topology.ts';

export const TARGETS: readonly Target[] = [
  ...guestTargets,
  ...guestLinkTargets,
  ...driverTargets,
  ...imageTargets,
  ...fileTargets,
  ...recordTargets,
  ...textTargets,
  ...topologyTargets,
  ...pciTargets,
  ...ringTargets,
  ...serviceTargets,
  ...stackTargets,
  ...apiTargets,
  ...streamTargets,
  ...cliTargets,
  ...deviceTreeTargets,
];

/** Throws RangeError for a name that is not there. */
export function findTarget(name: string): Target {
  const found = TARGETS.find((target) => target.name === name);
  if (found === undefined) throw new RangeError(`there is no fuzz target ${name}`);
  return found;
}
