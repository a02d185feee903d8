/** Services, their targets and promises as tables. Pure. */
import type { ServiceStatus } from '../../service/contract.ts';
import { type Column, tableOf } from '../kit/table.ts';

const ms = (value: number | null): string =>
  value === null ? '-' : `${value < 10 ? value.toFixed(1) : value.toFixed(0)}ms`;
const rate = (value: number): string => (value < 10 && !Number.isInteger(value) ? value.toFixed(1) : value.toFixed(0));
const percent = (share: number | null): string => (share === null ? '-' : `${Number((share * 100).toFixed(4))}%`);

export const SERVICE_COLUMNS: readonly Column<ServiceStatus>[] = [
  ['NAME', ({ name }) => name],
  ['ADDRESS', ({ bind, port }) => `${bind.includes(':') ? `[${bind}]` : bind}:${port}`],
  ['MODE', ({ mode }) => mode],
  ['UP', ({ targets }) => `${targets.filter(({ state }) => state === 'up').length}/${targets.length}`],
  ['REQUESTS', ({ requests }) => String(requests), 'right'],
  ['REQ/S', ({ requestsPerSecond }) => rate(requestsPerSecond), 'right'],
  ['ERRORS', ({ errors }) => String(errors), 'right'],
  ['P50', ({ latency }) => ms(latency.p50), 'right'],
  ['P99', ({ latency }) => ms(latency.p99), 'right'],
  ['SLO', ({ objectives }) => sloState(objectives)],
  ['STATE', ({ state }) => state],
];

function sloState(objectives: ServiceStatus['objectives']): string {
  if (objectives.length === 0) return '-';
  const lost = objectives.filter(({ state }) => state === 'lost').length;
  return lost > 0 ? `${lost} lost` : 'met';
}

export const TARGET_COLUMNS: readonly Column<ServiceStatus['targets'][number]>[] = [
  ['TARGET', ({ instance, port }) => `${instance}:${port}`],
  ['STATE', ({ state }) => state],
  [
    'WEIGHT',
    ({ weight, weightNow }) => (weightNow === weight || weightNow === 0 ? String(weight) : `${weightNow} (${weight})`),
    'right',
  ],
  ['IN FLIGHT', ({ inFlight }) => String(inFlight), 'right'],
  ['REQUESTS', ({ requests }) => String(requests), 'right'],
  ['REQ/S', ({ requestsPerSecond }) => rate(requestsPerSecond), 'right'],
  ['ERRORS', ({ errors }) => String(errors), 'right'],
  ['RETRIES', ({ retries }) => String(retries), 'right'],
  ['P50', ({ latency }) => ms(latency.p50), 'right'],
  ['P90', ({ latency }) => ms(latency.p90), 'right'],
  ['P99', ({ latency }) => ms(latency.p99), 'right'],
  ['REASON', ({ reason }) => reason ?? ''],
];

/** A promise, and whose it is. */
interface Promised {
  name: string;
  objective: ServiceStatus['objectives'][number];
}

const SLO_COLUMNS: readonly Column<Promised>[] = [
  ['SERVICE', ({ name }) => name],
  ['PROMISE', ({ objective }) => objective.text],
  ['STATE', ({ objective }) => objective.state],
  ['ATTAINED', ({ objective }) => percent(objective.attainment)],
  ['BAD', ({ objective: { budget, burn } }) => `${budget.spent} of ${burn[1]!.requests}`],
  ['ALLOWED', ({ objective }) => rate(objective.budget.allowed)],
  ['LEFT', ({ objective }) => percent(objective.budget.left), 'right'],
  ['BURN 5M', ({ objective }) => String(objective.burn[0]!.burnRate), 'right'],
  ['BURN 1H', ({ objective }) => String(objective.burn[1]!.burnRate), 'right'],
  ['SINCE', ({ objective }) => objective.since],
];

export const sloTable = (services: readonly ServiceStatus[]): string =>
  tableOf(
    SLO_COLUMNS,
    services.flatMap(({ name, objectives }) => objectives.map((objective) => ({ name, objective }))),
  );
