/** A case under a policy, step by step. */
import { settle } from '../policy/settle.ts';
import type { Controller, Decision, Observation, Policy, Window } from '../types.ts';
import { Actuator } from './actuator.ts';
import type { Engine, Given } from './engine.ts';
import { Events } from './events.ts';
import { Fluid } from './fluid.ts';
import { Gathered } from './gathered.ts';
import { Latencies } from './latencies.ts';
import { startSizes } from './start-sizes.ts';
import type { Timeline } from './timeline.ts';
import type { Case, Outcome } from './types.ts';

export interface RunOptions {
  /** Requests one by one instead of a fluid: for spans up to an hour. */
  events?: boolean;
  parameters?: Readonly<Record<string, number>>;
  timeline?: Timeline;
}

/** Runs a policy over the case. The same arguments give the same outcome. `regret` is left to whoever knows V*. */
export function run(policy: Policy, scene: Case, options: RunOptions = {}): Outcome {
  const { tenants, load, seconds, grain, step } = scene;
  const latencies = new Latencies();
  const engines: Engine[] = tenants.map((tenant, index) =>
    options.events === true ? new Events(tenant, index + 1, latencies) : new Fluid(tenant, latencies),
  );
  for (const [index, size] of startSizes(scene).entries()) engines[index]!.cpus = size;
  const actuator = new Actuator(scene, engines);
  const outcome: Outcome = {
    policy: policy.name,
    violationSeconds: 0,
    coreSeconds: 0,
    serviceCoreSeconds: 0,
    bestEffortWork: 0,
    p99Ms: 0,
    moves: 0,
    regret: null,
  };
  const deciding = new Deciding(policy, scene, engines, options.parameters);
  const given: Given = { early: 0, later: 0, at: 1, seconds: step };
  const perSecond = Math.round(1 / step);
  for (let tick = 0; tick < seconds * perSecond; tick++) {
    const second = Math.floor(tick / perSecond);
    given.at = actuator.advance(tick * step, step);
    for (let index = 0; index < engines.length; index++) {
      const engine = engines[index]!;
      given.early = actuator.early[index]!;
      given.later = actuator.later[index]!;
      engine.step(load[index]![second] ?? 0, given);
      const owned = engine.cpus * step;
      outcome.coreSeconds += owned;
      if (tenants[index]!.kind === 'batch') outcome.bestEffortWork += engine.work;
      else outcome.serviceCoreSeconds += owned;
    }
    if ((tick + 1) % perSecond === 0) options.timeline?.note(second, engines);
    for (const decision of deciding.after(tick)) {
      actuator.apply(decision, (tick + 1) * step);
      options.timeline?.decided(decision);
      if (decision.move.kind === 'cpu') outcome.moves += decision.move.count / grain;
    }
  }
  for (const engine of engines) engine.finish();
  outcome.violationSeconds = engines.reduce((sum, { violated }) => sum + violated, 0);
  outcome.p99Ms = latencies.quantile(0.99) * 1000;
  for (const name of ['coreSeconds', 'serviceCoreSeconds', 'bestEffortWork', 'p99Ms', 'moves'] as const)
    outcome[name] = Math.round(outcome[name] * 1000) / 1000;
  return outcome;
}

/** Shows a policy windows of the length that it wants. */
class Deciding {
  readonly #controller: Controller;
  readonly #window: Window;
  readonly #every: number;
  readonly #step: number;
  readonly #engines: readonly Engine[];
  readonly #gathered: readonly Gathered[] | undefined;

  constructor(policy: Policy, scene: Case, engines: readonly Engine[], parameters: RunOptions['parameters']) {
    const { cpus, grain, step, tenants } = scene;
    this.#controller = policy.begin(parameters);
    this.#step = step;
    this.#engines = engines;
    this.#every = Math.max(1, Math.round(policy.interval / step));
    const wantsP99 = policy.name === 'parties' || policy.name === 'autothrottle';
    this.#gathered = this.#every === 1 ? undefined : engines.map(() => new Gathered(wantsP99));
    const observations: readonly Observation[] = this.#gathered ?? engines;
    this.#window = { at: 0, seconds: this.#every * step, cpus, grain, kernels: tenants, observations };
  }

  after(tick: number): readonly Decision[] {
    for (const [index, gathered] of this.#gathered?.entries() ?? []) gathered.add(this.#engines[index]!);
    if ((tick + 1) % this.#every !== 0) return [];
    for (const gathered of this.#gathered ?? []) gathered.close();
    this.#window.at = (tick + 1) * this.#step;
    return settle(this.#window, this.#controller.decide(this.#window));
  }
}
