/** Services, their targets and promises as tables. Pure. */
import type { ServiceStatus } from '../../api/index.ts';
import { table } from '../kit/table.ts';

const ms = (value: number | null): string =>
  value === null ? '-' : `${value < 10 ? value.toFixed(1) : value.toFixed(0)}ms`;
const rate = (value: number): string => (value < 10 && !Number.isInteger(value) ? value.toFixed(1) : value.toFixed(0));
const percent = (share: number | null): string => (share === null ? '-' : `${Number((share * 100).toFixed(4))}%`);

const RIGHT = [
  'REQUESTS',
  'REQ/S',
  'ERRORS',
  'RETRIES',
  'IN FLIGHT',
  'P50',
  'P90',
  'P99',
  'WEIGHT',
  'LEFT',
  'BURN 5M',
  'BURN 1H',
];

export function servicesTable(services: readonly ServiceStatus[]): string {
  const head = ['NAME', 'ADDRESS', 'MODE', 'UP', 'REQUESTS', 'REQ/S', 'ERRORS', 'P50', 'P99', 'SLO', 'STATE'];
  const rows = services.map(
    ({ name, bind, port, mode, targets, requests, requestsPerSecond, errors, latency, ...rest }) => [
      name,
      `${bind.includes(':') ? `[${bind}]` : bind}:${port}`,
      mode,
      `${targets.filter(({ state }) => state === 'up').length}/${targets.length}`,
      String(requests),
      rate(requestsPerSecond),
      String(errors),
      ms(latency.p50),
      ms(latency.p99),
      sloState(rest.objectives),
      rest.state,
    ],
  );
  return table(head, rows, RIGHT);
}

function sloState(objectives: ServiceStatus['objectives']): string {
  if (objectives.length === 0) return '-';
  const lost = objectives.filter(({ state }) => state === 'lost').length;
  return lost > 0 ? `${lost} lost` : 'met';
}

export function targetsTable({ targets }: Pick<ServiceStatus, 'targets'>): string {
  const head = [
    'TARGET',
    'STATE',
    'WEIGHT',
    'IN FLIGHT',
    'REQUESTS',
    'REQ/S',
    'ERRORS',
    'RETRIES',
    'P50',
    'P90',
    'P99',
    'REASON',
  ];
  const rows = targets.map((target) => [
    `${target.instance}:${target.port}`,
    target.state,
    String(target.weight),
    String(target.inFlight),
    String(target.requests),
    rate(target.requestsPerSecond),
    String(target.errors),
    String(target.retries),
    ms(target.latency.p50),
    ms(target.latency.p90),
    ms(target.latency.p99),
    target.reason ?? '',
  ]);
  return table(head, rows, RIGHT);
}

export function sloTable(services: readonly ServiceStatus[]): string {
  const head = ['SERVICE', 'PROMISE', 'STATE', 'ATTAINED', 'BAD', 'ALLOWED', 'LEFT', 'BURN 5M', 'BURN 1H', 'SINCE'];
  const rows = services.flatMap(({ name, objectives }) =>
    objectives.map(({ text, state, attainment, budget, burn, since }) => [
      name,
      text,
      state,
      percent(attainment),
      `${budget.spent} of ${burn[1]!.requests}`,
      rate(budget.allowed),
      percent(budget.left),
      String(burn[0]!.burnRate),
      String(burn[1]!.burnRate),
      since,
    ]),
  );
  return table(head, rows, RIGHT);
}
