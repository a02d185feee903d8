/**
 * Generated cases in families. Each family has shapes of load that another one has not, so a policy tuned on some of them can be
 * judged on the others: `tuning` says which are which.
 */
import { random } from '../policy/random.ts';
import { ServiceTimes } from './service-times.ts';
import type { Case, Tenant } from './types.ts';

interface Shape {
  /** Requests that the service number `which` gets at a second, as a part of what its full share of the pool could answer. */
  load(which: number, second: number, random: () => number): number;
  tenant?(which: number): Partial<Tenant>;
}

type Family = (chance: () => number, seconds: number) => Shape;

const { PI, cos, sin, max, min, floor } = Math;
/** A curve through a day that is `period` long, from `low` to `high`. */
const wave = (second: number, period: number, phase: number, low: number, high: number) =>
  low + ((high - low) * (1 - cos((2 * PI * second) / period + phase))) / 2;

/** Sudden rises with a sharp front and a slow fall, at times chance has chosen. */
function crowds(chance: () => number, seconds: number, count: number, size: number, fall: number) {
  const starts = Array.from({ length: count }, () => floor(chance() * seconds));
  return (second: number) =>
    starts.reduce((sum, start) => sum + (second < start ? 0 : size * Math.exp((start - second) / fall)), 0);
}

const FAMILIES: Readonly<Record<string, { tuning: boolean; make: Family }>> = {
  /** Each at its own hour of the day. */
  diurnal: {
    tuning: true,
    make: (chance, seconds) => {
      const phases = [0, 1, 2, 3].map(() => chance() * 2 * PI);
      return { load: (which, second) => wave(second, seconds / 3, phases[which]!, 0.2, 1.2) };
    },
  },
  /** All at the same hour: together they are short. */
  correlated: {
    tuning: false,
    make: (chance, seconds) => {
      const phase = chance() * 2 * PI;
      const crowd = crowds(chance, seconds, 3, 0.5, 60);
      return { load: (which, second) => wave(second, seconds / 4, phase + which * 0.2, 0.2, 0.8) + crowd(second) };
    },
  },
  step: {
    tuning: true,
    make: (chance) => {
      const lengths = [0, 1, 2, 3].map(() => 120 + floor(chance() * 240));
      return { load: (which, second) => (floor(second / lengths[which]!) % 2 === 0 ? 0.35 : 1.25) };
    },
  },
  flash: {
    tuning: false,
    make: (chance, seconds) => {
      const each = [0, 1, 2, 3].map(() => crowds(chance, seconds, 5, 1.3, 45));
      return { load: (which, second) => 0.35 + each[which]!(second) };
    },
  },
  sawtooth: {
    tuning: true,
    make: (chance) => {
      const periods = [0, 1, 2, 3].map(() => 90 + floor(chance() * 120));
      return { load: (which, second) => 0.2 + ((second + which * 37) % periods[which]!) / periods[which]! };
    },
  },
  /** Rises as soon as a policy has settled, falls as soon as it has grown; each pause is shorter. */
  adversarial: {
    tuning: false,
    make: (chance) => {
      const pauses = [0, 1, 2, 3].map(() => 12 + floor(chance() * 20));
      return {
        load: (which, second) => {
          const pause = pauses[which]! + 8 * ((floor(second / 300) + which) % 4);
          const at = (second + which * 11) % pause;
          return at < pause - 6 ? 0.3 : 1.3;
        },
      };
    },
  },
  /** Noise between seconds, as of few users who each ask for much, around a slow wander. */
  noisy: {
    tuning: true,
    make: () => {
      const levels = [0.5, 0.5, 0.5, 0.5];
      return {
        load: (which, _, chance) => {
          levels[which] = min(1, max(0.2, levels[which]! + 0.03 * (chance() - 0.5)));
          return levels[which]! * (0.75 + 0.5 * chance());
        },
      };
    },
  },
  /** One service claims to be short of CPUs whatever it has; another cannot use more than two, and all but needs them. */
  lying: {
    tuning: false,
    make: (chance, seconds) => {
      const phases = [0, 1, 2, 3].map(() => chance() * 2 * PI);
      return {
        load: (which, second) =>
          which === 0
            ? 0.2
            : (which === 1 ? 0.55 : 1) *
              (wave(second, seconds / 3, phases[which]!, 0.2, 1.1) + 0.05 * sin(second / 7 + phases[which]!)),
        tenant: (which) => (which === 0 ? { lies: true } : which === 1 ? { parallelism: 2 } : {}),
      };
    },
  },
};

export const FAMILY_NAMES: readonly string[] = Object.keys(FAMILIES);

/** Whether a family is of those that parameters may be chosen on. */
export const isForTuning = (family: string): boolean => FAMILIES[family]!.tuning;

/** The case number `seed` of a family: services on a pool with one batch kernel. Throws nothing: names are those of FAMILY_NAMES. */
export function generate(
  family: string,
  seed: number,
  { seconds = 3600, services = 3, cpus = 12, step = 0.25 } = {},
): Case {
  const chance = random(seed * 7919 + FAMILY_NAMES.indexOf(family) * 104729);
  const shape = FAMILIES[family]!.make(chance, seconds);
  const share = cpus / (services + 1);
  const tenants: Tenant[] = Array.from({ length: services }, (_, which) => {
    const serviceMs = 8 * 2 ** floor(chance() * 3);
    const variation = [0.5, 1, 1.5][floor(chance() * 3)]!;
    return {
      name: `service-${which + 1}`,
      kind: 'service',
      min: 1,
      max: cpus,
      entitlement: share,
      priority: 0,
      promiseMs: Math.round(serviceMs * slowest(variation) * (1.3 + chance())),
      serviceMs,
      variation,
      parallelism: cpus,
      queueLimit: 2000,
      ...shape.tenant?.(which),
    };
  });
  const load = tenants.map(({ serviceMs }, which) =>
    Float32Array.from({ length: seconds }, (_, second) =>
      max(0, shape.load(which % 4, second, chance) * share * (1000 / serviceMs) * 0.8),
    ),
  );
  tenants.push(batchTenant(cpus, share));
  load.push(new Float32Array(0));
  return { name: `${family}-${seed}`, family, cpus, grain: 1, moveSeconds: 0.3, tenants, load, seconds, step };
}

/** What 99 % of the requests stay below without waiting, in means: a promise below that could not be kept with all CPUs there are. */
const slowest = (variation: number): number => new ServiceTimes(variation).at(0.99);

/** A kernel that works whenever it has CPUs. */
export function batchTenant(cpus: number, entitlement: number): Tenant {
  const unused = { serviceMs: 1, variation: 1, queueLimit: 0 };
  return {
    name: 'batch',
    kind: 'batch',
    min: 1,
    max: cpus,
    entitlement,
    priority: 0,
    promiseMs: null,
    parallelism: cpus,
    ...unused,
  };
}
