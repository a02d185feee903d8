/** What doctor says of how the daemon is kept running. */
import type { Check } from '../core/check.ts';
import { findTool } from '../sys/tools.ts';

/** Nothing is amiss without systemd: who uses `pk` starts the daemon. */
export function daemonChecks(): Check[] {
  const summary =
    findTool('systemctl') === undefined
      ? 'systemd is not here, so `pk daemon install` is of no use: the daemon starts when it is needed'
      : '`pk daemon install` makes the daemon a unit of systemd, which starts it with the machine';
  return [{ id: 'systemd', status: 'ok', summary }];
}
