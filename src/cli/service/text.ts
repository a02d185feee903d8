/** Services in the words of the command line: what options ask for, and tables. Pure. */
import type { ServiceRequest, ServiceStatus } from '../../api/index.ts';
import { parseLatencyPromise } from '../../service/promise.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { Invocation, OptionSpec } from '../kit/command.ts';
import { table } from '../kit/table.ts';

type Slo = NonNullable<ServiceRequest['slo']>;

/** Of `create` and `update`. */
export const SERVICE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  port: { value: 'PORT', help: 'TCP port of this machine' },
  target: {
    value: 'INSTANCE[:PORT][,...]',
    multiple: true,
    complete: 'instance',
    help: 'who gets the requests; the last port of a list is that of those before it without one',
  },
  bind: { value: 'ADDRESS', help: 'IP address of this machine (default 127.0.0.1)' },
  mode: { value: 'MODE', choices: ['http', 'tcp'], help: 'balance requests or connections (default http)' },
  balance: {
    value: 'HOW',
    choices: ['random2', 'roundrobin', 'leastconn'],
    help: 'default random2: the less loaded of two picked at random',
  },
  check: {
    value: 'PATH',
    help: 'path that a healthy instance answers with 200 to 399 (default: it accepts connections)',
  },
  slo: { value: 'PROMISE', multiple: true, help: 'p99=20ms, or availability=99.9 (per cent); see pk slo' },
};

/** What the options ask for, without what they do not mention. Throws `invalid` naming the option. */
export function serviceOptions(invocation: Invocation): Partial<Omit<ServiceRequest, 'name'>> {
  const port = invocation.integer('port', 1);
  const text = (name: string) => invocation.value(name);
  const targets = invocation.values('target').flatMap(parseTargets);
  const promises = invocation.values('slo');
  return {
    ...(port !== undefined && { port }),
    ...(targets.length > 0 && { targets }),
    ...(text('bind') !== undefined && { bind: text('bind')! }),
    ...(text('mode') !== undefined && { mode: text('mode') as 'http' | 'tcp' }),
    ...(text('balance') !== undefined && { balance: text('balance') as NonNullable<ServiceRequest['balance']> }),
    ...(text('check') !== undefined && { check: text('check')! }),
    ...(promises.length > 0 && { slo: parseSlo(promises) }),
  };
}

/** `web1,web2:81,web3:80`: a target without a port has that of the next one with one, or the service's. */
export function parseTargets(text: string): { instance: string; port?: number }[] {
  let port: number | undefined;
  return text
    .split(',')
    .reverse()
    .map((word) => {
      const [, instance, own] = /^([^:]*)(?::(\d{1,5}))?$/.exec(word) ?? [];
      if (instance === undefined || instance === '') {
        throw new PolykernelError('invalid', `--target: ${JSON.stringify(word)} is not INSTANCE or INSTANCE:PORT`, {
          field: '--target',
          value: text,
          hint: 'Write names with commas between them, and a port behind the last: web1,web2,web3:80',
        });
      }
      if (own !== undefined) port = Number(own);
      return port === undefined ? { instance } : { instance, port };
    })
    .reverse();
}

function parseSlo(promises: readonly string[]): Slo {
  const slo: Slo = {};
  for (const promise of promises) {
    const latency = parseLatencyPromise(promise);
    const availability = /^availability=(\d{1,2}(?:\.\d{1,4})?)%?$/.exec(promise);
    if (latency !== undefined) slo.latency = latency;
    else if (availability !== null) slo.availability = Number(availability[1]);
    else
      throw new PolykernelError('invalid', `--slo: ${JSON.stringify(promise)} is no promise`, {
        field: '--slo',
        value: promise,
        hint: 'Write p99=20ms, or availability=99.9; give --slo twice for both.',
      });
  }
  return slo;
}

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
