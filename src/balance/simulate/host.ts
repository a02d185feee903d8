/** The machine and the kernels of a simulation, as a file says them, and what is assumed where it says nothing. */
import { validate } from '../../core/validate.ts';
import { PolykernelError, readAt } from '../../sys/errors.ts';
import type { Trace } from './csv.ts';
import { batchTenant } from './families.ts';
import type { Case, Tenant } from './types.ts';

const positive = (maximum: number, description: string) =>
  ({ type: 'number', minimum: 1e-3, maximum, description }) as const;

const TENANT = {
  type: 'object',
  additionalProperties: false,
  required: [],
  properties: {
    serviceMs: positive(1e6, 'CPU-milliseconds of a request'),
    promiseMs: positive(1e7, 'at most 1 % of requests may take longer'),
    variation: {
      type: 'number',
      minimum: 0,
      maximum: 100,
      description: 'squared coefficient of variation of serviceMs',
    },
    min: positive(4096, 'CPUs'),
    max: positive(4096, 'CPUs'),
    entitlement: positive(4096, 'CPUs'),
    priority: { type: 'integer', minimum: 0, maximum: 100, description: 'who is served first when all are short' },
    parallelism: positive(4096, 'CPUs it can use'),
    queueLimit: { type: 'integer', minimum: 0, maximum: 1e9, description: 'requests that wait at most' },
    scale: positive(1e9, 'what values of the trace are multiplied with'),
    lies: { type: 'boolean', description: 'it always says that it is short' },
    memory: {
      type: 'object',
      additionalProperties: false,
      required: ['has', 'base'],
      properties: {
        has: positive(1e9, 'MiB'),
        base: { type: 'number', minimum: 0, maximum: 1e9 },
        perRequest: { type: 'number', minimum: 0, maximum: 1e9 },
      },
    },
  },
} as const;

const HOST = {
  type: 'object',
  additionalProperties: false,
  required: ['cpus'],
  properties: {
    cpus: positive(4096, 'CPUs of the pool'),
    grain: { type: 'number', minimum: 0.01, maximum: 1, description: 'smallest piece that moves' },
    moveSeconds: { type: 'number', minimum: 0, maximum: 60, description: 'until a CPU works for its new owner' },
    batch: { type: 'boolean', description: 'whether a batch kernel takes what services leave' },
    all: TENANT,
    tenants: { type: 'object', additionalProperties: TENANT },
  },
} as const;

type Said = Partial<Omit<Tenant, 'name' | 'kind'>> & { scale?: number };
interface Host {
  cpus: number;
  grain?: number;
  moveSeconds?: number;
  batch?: boolean;
  all?: Said;
  tenants?: Record<string, Said>;
}

const SERVICE_MS = 20;
/** A promise that is not stated is so many times what a request takes. */
const PATIENCE = 10;
/** Without a file, the pool has so much more than the services' mean use at their busiest time. */
const ROOM = 1.25;

/** Checks what a file says. Throws `invalid` naming the field. */
export function readHost(text: string, field = '--host'): Host {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new PolykernelError('invalid', `${field}: is not JSON: ${(error as Error).message}`, {
      field,
      hint: 'Write an object such as {"cpus": 8, "tenants": {"web": {"serviceMs": 20, "promiseMs": 200}}}.',
    });
  }
  return readAt(field, () => validate(HOST, json, { name: 'the file' }) as Host);
}

/** The case that a trace makes on a host, or on one that is just large enough. Throws `invalid` where floors do not fit. */
export function caseOf(trace: Trace, host?: Host): Case {
  for (const name of Object.keys(host?.tenants ?? {})) {
    if (!trace.tenants.includes(name))
      throw new PolykernelError('invalid', `--host: the trace has no tenant ${JSON.stringify(name)}`, {
        field: `tenants.${name}`,
        value: name,
        hint: `Its tenants are ${trace.tenants.slice(0, 10).join(', ')}.`,
      });
  }
  const said = trace.tenants.map((name) => ({ ...host?.all, ...host?.tenants?.[name] }));
  const load = trace.load.map((values, index) => {
    const scale = said[index]!.scale ?? 1;
    return scale === 1 ? values : values.map((value) => value * scale);
  });
  const hasBatch = host?.batch ?? true;
  const cpus = host?.cpus ?? enough(load, said) + (hasBatch ? 1 : 0);
  const share = cpus / (said.length + (hasBatch ? 1 : 0));
  const tenants: Tenant[] = trace.tenants.map((name, index) => service(name, said[index]!, cpus, share));
  if (hasBatch) {
    const batch = batchTenant(cpus, share);
    tenants.push({ ...batch, name: unusedName(batch.name, trace.tenants), min: Math.min(1, share) });
    load.push(new Float32Array(0));
  }
  for (const { name, min, max } of tenants) {
    if (min <= max) continue;
    throw new PolykernelError('invalid', `--host: tenants.${name}: min is ${min}, and max is ${max}`, {
      field: `tenants.${name}.min`,
      value: min,
      hint: 'Give a `min` that is no larger than `max`.',
    });
  }
  const floors = tenants.reduce((sum, { min }) => sum + min, 0);
  if (floors > cpus + 1e-9) {
    throw new PolykernelError('invalid', `--host: the kernels are to have ${floors} CPUs at least, of ${cpus}`, {
      field: 'cpus',
      value: cpus,
      hint: 'Give more CPUs, or lower `min`; shares need a `grain` below 1.',
    });
  }
  const { grain = 1, moveSeconds = 0.3 } = host ?? {};
  return { name: 'trace', family: 'trace', cpus, grain, moveSeconds, tenants, load, seconds: trace.seconds, step: 1 };
}

/** Policies know kernels by name. */
function unusedName(wanted: string, names: readonly string[]): string {
  let name = wanted;
  for (let number = 2; names.includes(name); number++) name = `${wanted}-${number}`;
  return name;
}

function service(name: string, { scale: _, ...said }: Said, cpus: number, share: number): Tenant {
  const serviceMs = said.serviceMs ?? SERVICE_MS;
  const unsaid = {
    min: Math.min(1, share, said.max ?? share),
    max: cpus,
    entitlement: share,
    priority: 0,
    variation: 1,
    parallelism: cpus,
    queueLimit: 2000,
  };
  const memory =
    said.memory === undefined ? {} : { memory: { ...said.memory, perRequest: said.memory.perRequest ?? 0 } };
  return { name, kind: 'service', promiseMs: serviceMs * PATIENCE, serviceMs, ...unsaid, ...said, ...memory };
}

function enough(load: readonly Float32Array[], said: readonly Said[]): number {
  let busiest = 0;
  const seconds = load[0]!.length;
  for (let second = 0; second < seconds; second++) {
    let sum = 0;
    for (const [index, values] of load.entries())
      sum += (values[second]! * (said[index]!.serviceMs ?? SERVICE_MS)) / 1000;
    busiest = Math.max(busiest, sum);
  }
  const cpus = Math.max(load.length, Math.ceil(busiest * ROOM));
  if (cpus <= 1024) return cpus;
  throw new PolykernelError(
    'invalid',
    `--trace: ${Math.round(busiest)} CPUs would be busy at ${SERVICE_MS} ms a request`,
    {
      field: '--trace',
      hint: 'Say with --host what a request takes (`all.serviceMs`) or what values are to be multiplied with (`all.scale`).',
    },
  );
}
