/** The kinds of step that only upgrades have, and how each is carried out. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { BareStep, Executors, Step } from '../core/step.ts';
import type { HealthStatus } from '../health/contract.ts';
import type { Instance, InstanceSpec, Instances } from '../instance/contract.ts';
import type { ServiceManager, ServiceStatus } from '../service/contract.ts';
import { PolykernelError } from '../sys/errors.ts';

/** How long a new one may take until its check passes, beyond what the check itself allows. */
const READY_MS = 60_000;
const LOOK_MS = 50;
/** A host that is short of time for a moment makes checks of services late. */
const DOWN_MS = 3_000;

/** Has an instance run as another spec says: it ends, and is proven to have, before anything else has what it owned. */
interface Exchange extends BareStep<'upgrade.exchange'> {
  spec: InstanceSpec;
  definition: string | null;
  /** Whether it is to run. */
  start: boolean;
}

/** Waits until an instance is well, and sees that it stays so, for itself and for those services. */
interface Prove extends BareStep<'upgrade.prove'> {
  services: readonly string[];
  watchMs: number;
}

/** A look changes nothing. */
interface Nothing extends BareStep<'upgrade.nothing'> {}

/** Each kind, and what takes it back. */
export type UpgradeStep = Step<Exchange, Exchange> | Step<Prove, Nothing>;

/** All in the order in which they are given. */
export const PHASE = 'publish';

interface State {
  spec: InstanceSpec;
  definition: string | null;
}

export function exchange(before: State, after: State, what: string, start: boolean): UpgradeStep {
  const { name } = before.spec;
  const to = (state: State, text: string): Exchange => ({
    ...{ kind: 'upgrade.exchange', name, phase: PHASE, text, ...state, start },
    also: [`instance ${name}`],
  });
  return {
    ...to(after, start ? `stop ${name} and start it with ${what}` : `have ${name} start with ${what}`),
    undo: to(before, `have ${name} run as before`),
    byHand: `pk upgrade ${name} --image ${before.spec.image}`,
  };
}

export function prove(name: string, services: readonly string[], watchMs: number, text: string): UpgradeStep {
  return {
    ...{ kind: 'upgrade.prove', name, phase: PHASE, text, services, watchMs },
    undo: { kind: 'upgrade.nothing', name, phase: PHASE, text: 'nothing' },
    byHand: 'nothing',
  };
}

export interface Watched {
  instances: Instances;
  services: Pick<ServiceManager, 'known' | 'list' | 'cutDrained'>;
  /** So many connections end with a kernel that is about to be ended, since they stayed open for longer than they were given. */
  cut(name: string, connections: number): void;
  /** Throws `not-found`. */
  health(name: string): Pick<HealthStatus, 'health' | 'signs' | 'check'>;
}

export function upgradeExecutors(watched: Watched): Executors<UpgradeStep> {
  const { instances } = watched;
  const isAs = ({ name, spec, definition }: Pick<Exchange, 'name' | 'spec' | 'definition'>) => {
    const { record } = instances.get(name);
    // Not by their texts: what is resolved anew may have its fields in another order.
    return record.definition === definition && isDeepStrictEqual(record.spec, spec);
  };
  return {
    'upgrade.exchange': {
      check: ({ name }) => void instances.get(name),
      async run(step, signal) {
        const instance = instances.get(step.name);
        if (!isAs(step)) {
          if (instance.active) watched.cut(step.name, await cutDrained(step.name, watched.services));
          if (instance.active || instance.state === 'backoff') await instance.stop();
          checkStopped(instance);
          await instances.update(new Map([[step.name, { spec: step.spec, definition: step.definition }]]), null);
        }
        if (instance.state === 'stopping') await instance.untilDown(signal);
        if (step.start && !instance.active) await instance.start(signal);
      },
      verify(step) {
        const { active, state } = instances.get(step.name);
        return isAs(step) && (!step.start || (active && state !== 'stopping'));
      },
      afterCrash: 'undo',
    },
    'upgrade.prove': {
      check: ({ name }) => void instances.get(name),
      async run({ name, services, watchMs }, signal) {
        await untilWell(name, watched, signal);
        await staysWell({ name, services, watchMs }, watched, signal);
      },
      verify: ({ name }) => instances.find(name)?.state === 'running',
      afterCrash: 'undo',
    },
    'upgrade.nothing': {
      check: () => {},
      run: async () => {},
      verify: () => true,
      afterCrash: 'finish',
    },
  };
}

/** Rejects when it fails first, or its check does not pass in its own time. */
async function untilWell(name: string, watched: Watched, signal: AbortSignal): Promise<void> {
  const { healthCommand, healthStartPeriodMs, healthIntervalMs, healthTimeoutMs, healthRetries } =
    watched.instances.get(name).record.spec;
  const allowed =
    healthCommand === null ? 0 : healthStartPeriodMs + (healthIntervalMs + healthTimeoutMs) * healthRetries;
  for (const deadline = performance.now() + allowed + READY_MS; ; await sleep(LOOK_MS, undefined, { signal })) {
    if (watched.instances.get(name).state !== 'starting') {
      await checkRuns(name, watched, signal);
      const { check } = watched.health(name);
      if (check === null || check.results.some(({ outcome }) => outcome === 'passed')) return;
    }
    if (performance.now() > deadline)
      throw new PolykernelError('not-ready', `${name} was not well in ${Math.round(allowed + READY_MS)} ms`, {
        hint: `See pk health show ${name}.`,
      });
  }
}

/** Rejects with what goes wrong. */
async function staysWell(
  { name, services, watchMs }: Pick<Prove, 'name' | 'services' | 'watchMs'>,
  watched: Watched,
  signal: AbortSignal,
): Promise<void> {
  const { startedAt } = watched.instances.get(name).record;
  const broken = new Set((await watched.services.list()).flatMap(brokenPromises));
  let downAt: number | undefined;
  for (const deadline = performance.now() + watchMs; performance.now() < deadline || downAt !== undefined; ) {
    await sleep(Math.min(LOOK_MS, watchMs), undefined, { signal });
    await checkRuns(name, watched, signal);
    if (watched.instances.get(name).record.startedAt !== startedAt)
      throw new PolykernelError('kernel-died', `${name} ended and was started again`);
    const serving = watched.services.known().filter((each) => services.includes(each.name));
    const absence = serving.flatMap((service) => absenceOf(name, service))[0];
    downAt = absence === undefined ? undefined : (downAt ?? performance.now());
    if (absence !== undefined && performance.now() - downAt! > DOWN_MS) throw new PolykernelError('not-ready', absence);
    const lost = serving.flatMap(brokenPromises).find((promise) => !broken.has(promise));
    if (lost !== undefined) throw new PolykernelError('not-ready', `since ${name} serves, ${lost} is lost`);
  }
}

/**
 * Resolves with how many connections a kernel that is about to go has through services. Those of a drained one are cut: a kernel that
 * is gone says nothing, and who is there would wait for it.
 */
export async function cutDrained(name: string, services: Pick<ServiceManager, 'list' | 'cutDrained'>): Promise<number> {
  let open = 0;
  for (const { name: service, targets } of await services.list())
    for (const { instance, inFlight, drain } of targets) {
      if (instance !== name || inFlight === 0) continue;
      open += inFlight;
      if (drain) await services.cutDrained(service, name);
    }
  return open;
}

function checkStopped(instance: Instance): void {
  if (!instance.active && instance.state !== 'backoff') return;
  throw new PolykernelError('conflict', `${instance.name} is ${instance.state}: that it has ended is not proven`, {
    hint: `See pk inspect ${instance.name}.`,
  });
}

async function checkRuns(name: string, { instances, health }: Watched, signal: AbortSignal): Promise<void> {
  // What it ended of is known when it has.
  while (instances.get(name).state === 'stopping') await sleep(LOOK_MS, undefined, { signal });
  const { state, record } = instances.get(name);
  if (state !== 'running')
    throw new PolykernelError(
      'kernel-died',
      `${name} is ${state}: ${record.machine.exit?.message || 'its workload ended'}`,
      { hint: `See pk logs ${name}.` },
    );
  const { health: is, signs } = health(name);
  if (is === 'unhealthy' || is === 'hung' || is === 'lost')
    throw new PolykernelError('not-ready', `${name} is ${is}: ${signs.map(({ seen }) => seen).join('; ')}`);
}

/** Why it does not serve; none when it does. */
function absenceOf(name: string, service: ServiceStatus): string[] {
  const target = service.targets.find(({ instance }) => instance === name);
  if (target?.state !== 'down' && target?.state !== 'absent') return [];
  return [`${name} does not serve ${service.name}: ${target.reason}`];
}

const brokenPromises = ({ name, objectives }: ServiceStatus): string[] =>
  objectives.filter(({ state }) => state === 'lost').map(({ text }) => `the promise of ${name}, ${text},`);
