import type { Handlers } from '../core/route.ts';
import type { Instances } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatDuration, parseDuration } from '../sys/units.ts';
import type { telemetryApi } from './api.ts';
import type { Telemetry } from './telemetry.ts';

const DEFAULT_SINCE = '10m';
const MOST_MS = 31 * 24 * 3600 * 1000;

/** What instances do, in numbers. */
export const telemetryHandlers = (
  telemetry: Pick<Telemetry, 'stats' | 'series' | 'metrics'>,
  instances: () => Pick<Instances, 'get'>,
): Handlers<typeof telemetryApi> => ({
  stats: () => telemetry.stats(),
  statsSeries({ params, query: { since = DEFAULT_SINCE, step } }) {
    const { record, name } = instances().get(params.name);
    const stepMs = step === undefined ? undefined : duration(step, 'step');
    return telemetry.series(name, record.id, duration(since, 'since'), stepMs);
  },
  metrics: () => telemetry.metrics(),
});

function duration(text: string, field: string): number {
  const milliseconds = parseDuration(text, field);
  if (milliseconds > 0 && milliseconds <= MOST_MS) return milliseconds;
  throw new PolykernelError('invalid', `${field}: ${JSON.stringify(text)} is not between 1ms and 31d`, {
    field,
    value: text,
    hint: `Numbers are kept for ${formatDuration(MOST_MS)}.`,
  });
}
