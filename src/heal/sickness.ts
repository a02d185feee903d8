/** Whether an instance that runs is to be healed, and of what. Pure. */
import type { HealthStatus } from '../health/contract.ts';
import type { InstanceSpec } from '../instance/contract.ts';

/** One whose memory did not suffice has ended for that, or goes on: only a check that fails says that it does not work. */
export function sickness(
  { health, signs }: Pick<HealthStatus, 'health' | 'signs'>,
  scope: InstanceSpec['heal'],
): 'hung' | 'unhealthy' | undefined {
  if (health === 'hung' && (scope === 'hung' || scope === 'unhealthy')) return 'hung';
  if (health === 'unhealthy' && scope === 'unhealthy' && signs.some(({ sign }) => sign === 'check')) return 'unhealthy';
  return undefined;
}
