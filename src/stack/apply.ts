/** Plans for stack files, and their execution: a table with one executor per kind of step. */
import type { ChannelManager } from '../channel/contract.ts';
import type { Mutex } from '../core/mutex.ts';
import type { Drivers } from '../driver/drivers.ts';
import type { InstanceSpec, Instances } from '../instance/contract.ts';
import type { HostPool } from '../pool/contract.ts';
import type { ServiceManager } from '../service/contract.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import type { KernelDefinition, Plan, StackSource, Step } from './contract.ts';

/** Kernels started or ended at once. */
const AT_ONCE = 8;

type Progress = (text: string) => void;

/** What one execution needs: the plan, and the definitions and specs it was made from. */
interface Work {
  plan: Plan;
  definitions: ReadonlyMap<string, KernelDefinition>;
  specs: ReadonlyMap<string, InstanceSpec | PolykernelError>;
}

export class Stacks {
  readonly #instances: Instances;
  readonly #drivers: Drivers;
  readonly #hostPool: HostPool;
  readonly #channels: ChannelManager;
  readonly #services: ServiceManager;
  readonly #mutex: Mutex;

  constructor(
    instances: Instances,
    drivers: Drivers,
    hostPool: HostPool,
    channels: ChannelManager,
    services: ServiceManager,
    mutex: Mutex,
  ) {
    this.#services = services;
    this.#instances = instances;
    this.#drivers = drivers;
    this.#hostPool = hostPool;
    this.#channels = channels;
    this.#mutex = mutex;
  }

  /** What apply() would do now. Touches nothing. Throws `invalid` for a bad stack file. */
  async plan(source: StackSource): Promise<Plan> {
    return (await this.#work(source)).plan;
  }

  /**
   * Carries out the plan; resolves with it. One at a time: a second one waits and plans on what the first has left.
   * Throws `conflict` when something is refused (then nothing was done), and the first failure of a step otherwise: what
   * was done stays, is in the ledger, and the next apply goes on from there.
   */
  async apply(source: StackSource, progress: Progress, signal: AbortSignal): Promise<Plan> {
    if (this.#mutex.busy) progress('waiting for another change of the machine to end');
    return this.#mutex.run(async () => {
      signal.throwIfAborted();
      progress('planning');
      const work = await this.#work(source);
      if (work.plan.refused.length > 0) throw refusedError(work.plan);
      await this.#execute(work, progress, signal);
      return work.plan;
    });
  }

  /** Removes every instance, channel and service of a stack. The pool stays. */
  async destroy(stack: string, progress: Progress, signal: AbortSignal): Promise<Plan> {
    if (this.#mutex.busy) progress('waiting for another change of the machine to end');
    return this.#mutex.run(async () => {
      const { planDestroy } = await import('./contract.ts');
      const plan = planDestroy(
        stack,
        this.#hostPool.pool,
        await this.#instances.observe(),
        this.#channels.list(),
        await this.#services.list(),
      );
      await this.#execute({ plan, definitions: new Map(), specs: new Map() }, progress, signal);
      return plan;
    });
  }

  // The YAML parser and the planner are loaded by the first plan: most daemons never need them.
  async #work(source: StackSource): Promise<Work> {
    const [{ parseStack, plan, problemsError }, { readInterrupts }] = await Promise.all([
      import('./contract.ts'),
      import('../topology/index.ts'),
    ]);
    const parsed = parseStack(source.text, source);
    if (parsed.stack === undefined) throw problemsError(parsed.problems, source.file);
    const { stack } = parsed;
    const specs = new Map<string, InstanceSpec | PolykernelError>();
    await Promise.all(
      stack.kernels.map(async ({ name, create, partition, tenant }) => {
        const request = { ...create, name, ...(partition && { partition }), ...(tenant && { tenant }) };
        const resolved = this.#instances.resolve(request, name);
        specs.set(name, await resolved.catch((error) => asPolykernelError(error, `resolving ${name}`)));
      }),
    );
    const resolved = [...specs.values()].filter((spec): spec is InstanceSpec => !(spec instanceof PolykernelError));
    for (const [name, problem] of this.#instances.nameProblems(resolved, stack.name)) specs.set(name, problem);
    const facts = await this.#drivers.facts();
    return {
      plan: plan({
        stack,
        topology: this.#hostPool.topology(true),
        ledger: this.#instances.ledger(),
        instances: await this.#instances.observe(),
        channels: this.#channels.list(),
        services: await this.#services.list(),
        sharedMemory: new Map(facts.map(({ name, capabilities }) => [name, capabilities.sharedMemory])),
        resolved: specs,
        accelerators: new Map(
          facts.flatMap(({ name, availability: { accelerator } }) =>
            accelerator ? [[name, accelerator] as const] : [],
          ),
        ),
        interrupts: readInterrupts('/'),
      }),
      definitions: new Map(stack.kernels.map((kernel) => [kernel.name, kernel])),
      specs,
    };
  }

  /** Steps of one kind beside each other go at once; a failure ends the work after those. */
  async #execute(work: Work, progress: Progress, signal: AbortSignal): Promise<void> {
    const { steps } = work.plan;
    for (let first = 0; first < steps.length; ) {
      signal.throwIfAborted();
      let last = first + 1;
      while (last < steps.length && last - first < AT_ONCE && steps[last]!.step.do === steps[first]!.step.do) last += 1;
      const results = await Promise.allSettled(
        steps.slice(first, last).map(async ({ step, text }, index) => {
          progress(`[${first + index + 1}/${steps.length}] ${text}`);
          await this.#carryOut(step, work, signal);
        }),
      );
      const failed = results.flatMap((result, index) =>
        result.status === 'rejected' ? [{ text: steps[first + index]!.text, error: result.reason as unknown }] : [],
      );
      if (failed[0] !== undefined) {
        signal.throwIfAborted();
        throw stepError(failed, steps.length - last);
      }
      first = last;
    }
  }

  async #carryOut(step: Step, work: Work, signal: AbortSignal): Promise<void> {
    const instances = this.#instances;
    switch (step.do) {
      case 'remove':
        return instances.remove(step.name, true);
      case 'stop':
        return instances.get(step.name).stop();
      case 'assign':
        return this.#assign(step, work);
      case 'repin':
        return instances.repin(step.name);
      case 'start': {
        const instance = instances.get(step.name);
        if (instance.state === 'stopping') await instance.ended(signal);
        return instance.start(signal);
      }
      case 'resume':
        return instances.get(step.name).resume();
      case 'remove-channel':
        return this.#channels.remove(step.name, true);
      case 'create-channel': {
        const { plan } = work;
        const { channel } = plan.channels.find(({ name }) => name === step.name)!;
        return void (await this.#channels.create(channel!, plan.stack));
      }
      case 'remove-service':
        return this.#services.remove(step.name);
      case 'change-service':
        return void (await this.#services.replace(serviceOf(work, step.name)));
      case 'create-service':
        return void (await this.#services.create(serviceOf(work, step.name), work.plan.stack));
      case 'create':
        return this.#create(step.name, work, signal);
    }
  }

  async #assign({ pool, kernels }: Extract<Step, { do: 'assign' }>, work: Work): Promise<void> {
    const { storedDefinition } = await import('./contract.ts');
    const changes = new Map(
      kernels.map((name) => {
        const { placement } = planned(work, name);
        const definition = storedDefinition(work.definitions.get(name)!);
        return [name, { spec: specOf(work, name), placement, definition }];
      }),
    );
    this.#instances.update(changes, pool);
    if (pool === null) return;
    await this.#hostPool.recover();
    await this.#instances.repinAll();
  }

  async #create(name: string, work: Work, signal: AbortSignal): Promise<void> {
    const { storedDefinition } = await import('./contract.ts');
    const kernel = work.definitions.get(name)!;
    const { create, partition, tenant } = kernel;
    const request = { ...create, name, start: false, ...(partition && { partition }), ...(tenant && { tenant }) };
    const instance = await this.#instances.create(request, {
      stack: work.plan.stack,
      definition: storedDefinition(kernel),
      placement: planned(work, name).placement,
    });
    await instance.start(signal);
  }
}

function planned({ plan }: Work, name: string): Plan['kernels'][number] {
  return plan.kernels.find((kernel) => kernel.name === name)!;
}

const serviceOf = ({ plan }: Work, name: string) => plan.services.find((each) => each.name === name)!.service!;

function specOf({ plan, specs }: Work, name: string): InstanceSpec {
  const spec = specs.get(name)!;
  if (spec instanceof PolykernelError) throw spec;
  return { ...spec, stack: plan.stack };
}

function refusedError({ refused }: Plan): PolykernelError {
  const [first] = refused;
  const rest = refused.length > 1 ? ` (and ${refused.length - 1} more: see \`pk plan\`)` : '';
  return new PolykernelError('conflict', `nothing was done: ${first!.name}: ${first!.message}${rest}`, {
    field: first!.field,
    hint: first!.hint,
  });
}

function stepError(failed: readonly { text: string; error: unknown }[], left: number): PolykernelError {
  const errors = failed.map(({ text, error }) => ({ text, error: asPolykernelError(error, text) }));
  const { error } = errors[0]!;
  const others = errors.slice(1).map((each) => `; ${each.text}: ${each.error.message}`);
  const rest = left > 0 ? `; ${left} steps were not begun` : '';
  return new PolykernelError(error.code, `${errors[0]!.text}: ${error.message}${others.join('')}${rest}`, {
    field: error.field,
    value: error.value,
    hint: error.hint ?? 'What was done stays. Run the command again to go on from there.',
    cause: error,
  });
}
