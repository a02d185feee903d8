/** What doctor says of how the daemon is kept running, and of what earlier ones have left. */
import type { Check } from '../core/check.ts';
import { lostGroups } from '../sys/lost-groups.ts';
import { findTool } from '../sys/tools.ts';

/** Nothing is amiss without systemd: who uses `pk` starts the daemon. `lost`: control groups that nobody knows. */
export function daemonChecks(lost: readonly string[] = lostGroups(Date.now())): Check[] {
  const summary =
    findTool('systemctl') === undefined
      ? 'systemd is not here, so `pk daemon install` is of no use: the daemon starts when it is needed'
      : '`pk daemon install` makes the daemon a unit of systemd, which starts it with the machine';
  const systemd: Check = { id: 'systemd', status: 'ok', summary };
  if (lost.length === 0) return [systemd];
  const left = `${lost.length} empty control group${lost.length === 1 ? ' is' : 's are'} left of kernels or tools that nobody knows any more`;
  const hint = `A daemon removes them when it has started. The first is ${lost[0]}.`;
  return [systemd, { id: 'lost-groups', status: 'warn', summary: left, hint }];
}
