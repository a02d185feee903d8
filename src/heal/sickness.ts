/** Whether an instance that runs is to be healed, and of what. Pure. */
import type { HealthStatus, Sign } from '../health/contract.ts';
import type { InstanceSpec } from '../instance/contract.ts';

/**
 * That it does not work is said by a check that fails, and by stalls of its kernel, which do not end by themselves. One whose memory
 * did not suffice has ended for that, or goes on, and a task that hangs may wait for a file.
 */
const REASONS: ReadonlySet<Sign['sign']> = new Set(['check', 'soft-lockup', 'rcu-stall']);

export function sickness(
  { health, signs }: Pick<HealthStatus, 'health' | 'signs'>,
  scope: InstanceSpec['heal'],
): 'hung' | 'unhealthy' | undefined {
  if (health === 'hung' && (scope === 'hung' || scope === 'unhealthy')) return 'hung';
  if (health === 'unhealthy' && scope === 'unhealthy' && signs.some(({ sign }) => REASONS.has(sign)))
    return 'unhealthy';
  return undefined;
}
