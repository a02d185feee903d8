/** Doctor's checks of what instances need to have a network. */
import { type Check, programCheck } from '../core/check.ts';
import { networkObstacle } from './bridge.ts';

export function networkChecks(privileged: boolean): Check[] {
  const tools = ['ip', 'bridge', 'nft', ...(privileged ? [] : ['nsenter'])];
  const natives = ['pk-forward', 'pk-netns'] as const;
  const programs = programCheck('network', 'private networks can be made', { tools, natives });
  return [programs, wayOut(privileged)];
}

function wayOut(privileged: boolean): Check {
  const obstacle = networkObstacle('egress', privileged);
  if (obstacle === null) return { id: 'egress', status: 'ok', summary: 'kernels can be given a way out' };
  return { id: 'egress', status: 'warn', summary: `no way out: ${obstacle.reason}`, hint: obstacle.hint };
}
