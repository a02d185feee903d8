/** Numbers of services and of what they promise for Prometheus: a row for each family. */
import { type FamilyOf, familiesFor, type Sample } from '../core/metric.ts';
import type { ServiceStatus } from './types.ts';

type Target = ServiceStatus['targets'][number];
type Objective = ServiceStatus['objectives'][number];

const service = familiesFor<ServiceStatus>('polykernel_service_', ({ name }) => ({ service: name }));
const slo = familiesFor<ServiceStatus>('polykernel_slo_', ({ name }) => ({ service: name }));

/** Of each instance that it leads to. */
const target = (
  type: FamilyOf<Target>['type'],
  name: string,
  help: string,
  samples: (one: Target) => readonly Sample[],
): FamilyOf<ServiceStatus> =>
  service.row(type, name, help, ({ targets }) =>
    targets.flatMap((one) =>
      samples(one).map(([labels, value]) => [{ instance: one.instance, ...labels }, value] as const),
    ),
  );

/** Of each promise. */
const promise = (name: string, help: string, samples: (one: Objective) => readonly Sample[]): FamilyOf<ServiceStatus> =>
  slo.row('gauge', name, help, ({ objectives }) =>
    objectives.flatMap((one) =>
      samples(one).map(([labels, value]) => [{ objective: one.kind, ...labels }, value] as const),
    ),
  );

const count = (name: string, key: 'requests' | 'errors' | 'connectErrors' | 'retries', help: string) =>
  target('counter', `${name}_total`, help, (one) => [[{}, one[key]]]);

const seconds = (milliseconds: number | null) => (milliseconds === null ? null : milliseconds / 1000);

export const serviceMetrics: readonly FamilyOf<ServiceStatus>[] = [
  target('gauge', 'target_up', 'Whether the target gets requests.', ({ state }) => [[{}, state === 'up' ? 1 : 0]]),
  count('requests', 'requests', 'Requests, in tcp mode connections.'),
  count('errors', 'errors', 'Statuses of 500 and above, and broken answers.'),
  count('connect_errors', 'connectErrors', 'Attempts to connect that failed.'),
  count('retries', 'retries', 'Requests that were sent again.'),
  target('gauge', 'requests_in_flight', 'Requests under way.', ({ inFlight }) => [[{}, inFlight]]),
  target('gauge', 'latency_seconds', 'Latency of the last five minutes.', ({ latency }) => [
    [{ quantile: '0.5' }, seconds(latency.p50)],
    [{ quantile: '0.9' }, seconds(latency.p90)],
    [{ quantile: '0.99' }, seconds(latency.p99)],
  ]),
  promise('attainment_ratio', 'Share of good requests in the last hour.', ({ attainment }) => [[{}, attainment]]),
  promise('target_ratio', 'Share of good requests that is promised.', ({ target }) => [[{}, target]]),
  promise('error_budget_left_ratio', 'Share of the error budget that is left.', ({ budget }) => [[{}, budget.left]]),
  promise('burn_rate', 'How many times faster than allowed the error budget is spent.', ({ burn }) =>
    burn.map(({ window, burnRate }) => [{ window }, burnRate]),
  ),
];
