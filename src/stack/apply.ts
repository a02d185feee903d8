/** Makes plans for stack files from the present state of the machine, and carries them out. */
import type { Mutex } from '../core/mutex.ts';
import type { BareStep } from '../core/step.ts';
import type { Steps } from '../core/steps.ts';
import type { Drivers } from '../driver/drivers.ts';
import type { InstanceSpec, Instances } from '../instance/contract.ts';
import { type HostPool, reservedBy } from '../pool/contract.ts';
import type { LeasedFunction } from '../sriov/contract.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import type { Plan, Planned, Present, Stack, StackSource, StackStep } from './contract.ts';

type Progress = (text: string) => void;

export interface StacksOptions {
  instances: Instances;
  drivers: Drivers;
  hostPool: HostPool;
  /** What there is of all that a stack file may name beside kernels and pool. */
  present(): Promise<Present>;
  /** Whose PCI functions are. */
  leases(): readonly LeasedFunction[];
  steps: Pick<Steps<StackStep>, 'planned' | 'underWay'>;
  /** Of all plans of the whole machine. */
  mutex: Mutex;
}

export class Stacks {
  readonly #options: StacksOptions;

  constructor(options: StacksOptions) {
    this.#options = options;
  }

  /** What apply() would do now. Touches nothing. Throws `invalid` for a bad stack file. */
  async plan(source: StackSource): Promise<Plan> {
    return (await this.#plan(await this.#parse(source), this.#options.steps.underWay)).plan;
  }

  /**
   * Carries out the plan; resolves with it. Of one stack one at a time: a second one waits and plans on what the first has left.
   * Others plan and act meanwhile, beside what it is to get.
   * Throws `conflict` when something is refused (then nothing was done), and the first failure of a step otherwise: what
   * was done stays, is in the ledger, and the next apply goes on from there.
   */
  async apply(source: StackSource, progress: Progress, signal: AbortSignal): Promise<Plan> {
    const stack = await this.#parse(source);
    return await this.#carryOut(
      stack.name,
      async (underWay) => {
        progress('planning');
        const planned = await this.#plan(stack, underWay);
        if (planned.plan.refused.length > 0) throw refusedError(planned.plan);
        return planned;
      },
      progress,
      signal,
    );
  }

  /** Removes every instance, channel and service of a stack. The pool stays. */
  async destroy(stack: string, progress: Progress, signal: AbortSignal): Promise<Plan> {
    const { hostPool, instances, present } = this.#options;
    return await this.#carryOut(
      stack,
      async () => {
        const { planDestroy } = await import('./contract.ts');
        return planDestroy(stack, hostPool.pool, await instances.observe(), await present());
      },
      progress,
      signal,
    );
  }

  async #carryOut(
    stack: string,
    plan: (underWay: readonly BareStep[]) => Promise<Planned>,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<Plan> {
    const { mutex, steps } = this.#options;
    return (await steps.planned(plan, { mutex, things: [`stack ${stack}`], progress, signal })).plan;
  }

  // The YAML parser and the planner are loaded by the first plan: most daemons never need them.
  async #parse(source: StackSource): Promise<Stack> {
    const { parseStack, problemsError } = await import('./contract.ts');
    const { stack, problems } = parseStack(source.text, source);
    if (stack === undefined) throw problemsError(problems, source.file);
    return stack;
  }

  /** `underWay`: what is being changed meanwhile. */
  async #plan(stack: Stack, underWay: readonly BareStep[]): Promise<Planned> {
    const { instances, drivers, hostPool, present, leases } = this.#options;
    const [{ plan }, { readInterrupts }] = await Promise.all([import('./contract.ts'), import('../topology/index.ts')]);
    const specs = new Map<string, InstanceSpec | PolykernelError>();
    await Promise.all(
      stack.kernels.map(async ({ name, create, partition, tenant }) => {
        const request = { ...create, name, ...(partition && { partition }), ...(tenant && { tenant }) };
        const resolved = instances.resolve(request, name);
        specs.set(name, await resolved.catch((error) => asPolykernelError(error, `resolving ${name}`)));
      }),
    );
    const resolved = [...specs.values()].filter((spec): spec is InstanceSpec => !(spec instanceof PolykernelError));
    for (const [name, problem] of instances.nameProblems(resolved, stack.name)) specs.set(name, problem);
    const facts = await drivers.facts();
    const ledger = instances.ledger();
    return plan({
      stack,
      topology: hostPool.topology(true),
      ledger,
      reserved: reservedBy(ledger, underWay),
      instances: await instances.observe(),
      present: await present(),
      leases: leases(),
      sharedMemory: new Map(facts.map(({ name, capabilities }) => [name, capabilities.sharedMemory])),
      resolved: specs,
      accelerators: new Map(
        facts.flatMap(({ name, availability: { accelerator } }) => (accelerator ? [[name, accelerator] as const] : [])),
      ),
      interrupts: readInterrupts('/'),
    });
  }
}

function refusedError({ refused }: Plan): PolykernelError {
  const [first] = refused;
  const rest = refused.length > 1 ? ` (and ${refused.length - 1} more: see \`pk plan\`)` : '';
  return new PolykernelError('conflict', `nothing was done: ${first!.name}: ${first!.message}${rest}`, {
    field: first!.field,
    hint: first!.hint,
  });
}
