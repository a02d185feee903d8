/**
 * V*: the fewest violated seconds that one who knows the future could reach, without delays and without charge for moves. Batch
 * kernels have their floors then; services may have all else, in any division, anew each second.
 */
import type { Given } from './engine.ts';
import { TOLERATED } from './engine.ts';
import { Fluid } from './fluid.ts';
import type { Case, Tenant } from './types.ts';

/** Up to these sizes V* is worked out exactly; beyond them a bound that is no higher takes its place. */
const EXACT_TENANTS = 3;
const EXACT_CPUS = 8;
/** What waits is told apart to this part of a promise, rounded down; more coarsely while too many ways are open. */
const FINENESS = 1000;
const MOST_LABELS = 150;

export interface Bound {
  seconds: number;
  exact: boolean;
}

export function clairvoyant(scene: Case): Bound {
  const { tenants, cpus, grain, step } = scene;
  const isSmall = tenants.length <= EXACT_TENANTS && cpus / grain <= EXACT_CPUS && step === 1;
  return isSmall ? { seconds: exact(scene), exact: true } : { seconds: relaxed(scene), exact: false };
}

interface Members {
  services: { tenant: Tenant; load: Float32Array; fluid: Fluid }[];
  /** CPUs for all services. */
  capacity: number;
}

function members({ tenants, load, cpus }: Case): Members {
  const services = tenants.flatMap((tenant, index) =>
    tenant.kind === 'service' ? [{ tenant, load: load[index]!, fluid: new Fluid(tenant) }] : [],
  );
  const floors = tenants.reduce((sum, { kind, min }) => sum + (kind === 'batch' ? min : 0), 0);
  return { services, capacity: cpus - floors };
}

const all = (cpus: number, seconds: number): Given => ({ early: cpus, later: cpus, at: 1, seconds });

/** A way to have come here: seconds violated, and per service the mean of what waits and the sure part of it, in CPU-seconds. */
interface Label {
  violated: number;
  waits: number[];
}

/** Dynamic programming over all divisions of whole pieces; of two ways of which one is nowhere worse, the other is forgotten. */
function exact(scene: Case): number {
  const { services, capacity } = members(scene);
  const divisions = allDivisions(
    services.map(({ tenant }) => tenant),
    capacity,
    scene.grain,
  );
  let fineness = FINENESS;
  let labels: Label[] = [{ violated: 0, waits: services.flatMap(() => [0, 0]) }];
  for (let second = 0; second < scene.seconds; second++) {
    const best = new Map<string, Label>();
    const known = new Map<string, [number, number, number]>();
    const after = (which: number, mean: number, backlog: number, cpus: number): [number, number, number] => {
      const key = `${which} ${mean} ${backlog} ${cpus}`;
      const found = known.get(key);
      if (found !== undefined) return found;
      const { fluid, load, tenant } = services[which]!;
      fluid.mean = mean;
      fluid.backlog = backlog;
      fluid.step(load[second]!, all(cpus, 1));
      const unit = (tenant.promiseMs ?? 1000) / 1000 / fineness;
      const down = (value: number) => Math.floor(value / unit) * unit;
      const made: [number, number, number] = [
        load[second]! > 0 && fluid.late > TOLERATED ? 1 : 0,
        down(fluid.mean),
        down(fluid.backlog),
      ];
      known.set(key, made);
      return made;
    };
    for (const { violated, waits } of labels) {
      for (const division of divisions) {
        const next: Label = { violated, waits: [] };
        for (const [which, cpus] of division.entries()) {
          const [bad, mean, backlog] = after(which, waits[2 * which]!, waits[2 * which + 1]!, cpus);
          next.violated += bad;
          next.waits.push(mean, backlog);
        }
        const key = next.waits.join();
        const found = best.get(key);
        if (found === undefined || next.violated < found.violated) best.set(key, next);
      }
    }
    labels = undominated([...best.values()]);
    if (labels.length > MOST_LABELS) fineness /= 2;
    else if (2 * labels.length < MOST_LABELS) fineness = Math.min(FINENESS, 2 * fineness);
  }
  return labels.reduce((least, { violated }) => Math.min(least, violated), Number.POSITIVE_INFINITY);
}

function undominated(labels: Label[]): Label[] {
  const sum = ({ waits }: Label) => waits.reduce((a, b) => a + b, 0);
  const sorted = labels
    .map((label) => ({ label, sum: sum(label) }))
    .sort((a, b) => a.label.violated - b.label.violated || a.sum - b.sum);
  const kept: Label[] = [];
  for (const { label } of sorted) {
    if (!kept.some((better) => better.waits.every((wait, index) => wait <= label.waits[index]!))) kept.push(label);
  }
  return kept;
}

/** Every way to give all of `capacity` to the services within their bounds, or as much of it as these let. */
export function allDivisions(tenants: readonly Tenant[], capacity: number, grain: number): number[][] {
  const found: number[][] = [];
  const extend = (sizes: number[], left: number): void => {
    const tenant = tenants[sizes.length];
    if (tenant === undefined) {
      found.push(sizes);
      return;
    }
    const others = tenants.slice(sizes.length + 1).reduce((sum, { min }) => sum + min, 0);
    const most = Math.min(tenant.max, left - others);
    const last = sizes.length === tenants.length - 1;
    for (let size = last ? most : tenant.min; size <= most + 1e-9; size += grain) extend([...sizes, size], left - size);
  };
  extend([], capacity);
  return found;
}

/**
 * A bound that is never higher than V*: a second is lost for a service that would lose it with all CPUs to itself all the time; of
 * the others, those that do not fit beside each other even if nothing waited before are lost as well, the greediest ones first.
 */
function relaxed(scene: Case): number {
  const { services, capacity } = members(scene);
  const floors = services.reduce((sum, { tenant }) => sum + tenant.min, 0);
  const perSecond = Math.round(1 / scene.step);
  // Of a second with k steps one may have k times the tolerated share of late requests, if the others have none.
  const tolerated = TOLERATED * perSecond;
  const needs = services.map(() => new Map<number, number>());
  const fresh = services.map(({ tenant }) => new Fluid(tenant));
  const need = (which: number, rate: number): number => {
    const found = needs[which]!.get(rate);
    if (found !== undefined) return found;
    const { tenant } = services[which]!;
    const fluid = fresh[which]!;
    const most = Math.min(tenant.max, capacity - floors + tenant.min);
    let size = tenant.min;
    for (; size < most; size += scene.grain) {
      fluid.mean = fluid.backlog = 0;
      fluid.step(rate, all(size, scene.step));
      if (fluid.late <= tolerated) break;
    }
    needs[which]!.set(rate, size);
    return size;
  };
  let lost = 0;
  for (let second = 0; second < scene.seconds; second++) {
    const wanted: number[] = [];
    for (const [which, { tenant, load, fluid }] of services.entries()) {
      const before = fluid.violated;
      const most = Math.min(tenant.max, capacity - floors + tenant.min);
      for (let each = 0; each < perSecond; each++) fluid.step(load[second]!, all(most, scene.step));
      if (fluid.violated > before) lost++;
      else wanted.push(need(which, load[second]!) - tenant.min);
    }
    let left = capacity - floors;
    for (const size of wanted.sort((a, b) => a - b)) {
      left -= size;
      if (left < -1e-9) lost++;
    }
  }
  return lost;
}

/** 0 where there is nothing to gain and nothing was lost; `null` where there was nothing to gain, and yet something was lost. */
export function regret(violated: number, equal: number, least: number): number | null {
  if (equal > least) return (violated - least) / (equal - least);
  return violated <= least ? 0 : null;
}
