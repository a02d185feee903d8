import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CREATED, type Effect, type Machine, type MachineEvent, transition } from './machine.ts';
import { LOOP_DELAY_MS } from './restart.ts';
import type { HealScope, InstanceExit, InstanceState, RestartPolicy } from './spec.ts';

const exit = (reason: InstanceExit['reason'], exitCode = 1): InstanceExit => ({
  reason,
  exitCode,
  message: '',
  at: '',
});

function apply(
  machine: Machine,
  events: MachineEvent[],
  policy: RestartPolicy = 'no',
  heal: HealScope = 'no',
): { machine: Machine; steps: Effect[] } {
  const steps: Effect[] = [];
  for (const event of events) {
    const result = transition(machine, event, { restart: policy, heal });
    if ('refused' in result) throw new Error(result.refused);
    machine = result.machine;
    steps.push(...result.effects);
  }
  return { machine, steps };
}
const acts = (steps: readonly Effect[]) => steps.filter((step) => step.do !== 'tell' && step.do !== 'disarm-restart');

const START: MachineEvent = { type: 'start' };
const READY: MachineEvent = { type: 'ready' };
const STOP: MachineEvent = { type: 'stop', exit: exit('stopped', 143) };
const KILL: MachineEvent = { type: 'kill', exit: exit('killed', 137) };
const HANGS: MachineEvent = { type: 'heal', exit: exit('hung', 125), how: 'kill' };
const UNWELL: MachineEvent = { type: 'heal', exit: exit('unhealthy', 125), how: 'stop' };
const UNPROVEN: MachineEvent = { type: 'unproven', exit: exit('died', 123) };
const workloadEnded = (code: number): MachineEvent => ({ type: 'workload-ended', exit: exit('exit', code) });
const kernelEnded = (reason: InstanceExit['reason'] = 'stopped', ranMs = 0): MachineEvent => ({
  type: 'kernel-ended',
  exit: exit(reason),
  ranMs,
});

describe('the state machine', () => {
  it('runs through a whole life', () => {
    const { machine, steps } = apply(CREATED, [START, READY, workloadEnded(7), kernelEnded()]);
    expect(machine).toMatchObject({ state: 'exited', exit: { reason: 'exit', exitCode: 7 }, ending: null });
    expect(acts(steps)).toEqual([{ do: 'boot' }, { do: 'begin-workload' }, { do: 'end-kernel', how: 'end' }]);
  });

  it('records what came first', () => {
    expect(apply(CREATED, [START, READY, kernelEnded('panic'), workloadEnded(0)]).machine.exit).toMatchObject({
      reason: 'panic',
    });
    expect(apply(CREATED, [START, READY, workloadEnded(3), kernelEnded('panic')]).machine.exit).toMatchObject({
      exitCode: 3,
    });
    expect(apply(CREATED, [START, READY, workloadEnded(3), KILL, kernelEnded('died')]).machine.exit).toMatchObject({
      exitCode: 3,
    });
  });

  it('keeps the code that the workload ends with when stopped', () => {
    const { exit } = apply(CREATED, [START, READY, STOP, workloadEnded(0), kernelEnded()]).machine;
    expect(exit).toMatchObject({ reason: 'stopped', exitCode: 0 });
  });

  it('cancels a boot, and kills a kernel that got ready all the same', () => {
    const { machine, steps } = apply(CREATED, [START, STOP, READY]);
    expect(machine.state).toBe('stopping');
    expect(acts(steps)).toEqual([{ do: 'boot' }, { do: 'cancel-boot' }, { do: 'end-kernel', how: 'kill' }]);
  });

  it('never restarts what a person ended, even late', () => {
    const late = apply(CREATED, [START, READY, workloadEnded(1), STOP, kernelEnded()], 'always');
    expect(late.machine.state).toBe('exited');
    expect(apply(late.machine, [START, READY, workloadEnded(1), kernelEnded()], 'always').machine.state).toBe(
      'backoff',
    );
  });

  it('restarts no workload that could not be executed, nor what never got going; a later start that fails is tried again', () => {
    const notExecuted: MachineEvent = { type: 'workload-ended', exit: exit('failed', 127) };
    expect(apply(CREATED, [START, READY, notExecuted, kernelEnded()], 'always').machine).toMatchObject({
      state: 'exited',
      exit: { reason: 'failed', exitCode: 127 },
    });
    expect(apply(CREATED, [START, kernelEnded('failed')], 'always').machine.state).toBe('exited');
    expect(apply(CREATED, [START, kernelEnded('not-ready')], 'always').machine.state).toBe('backoff');
    const again: MachineEvent[] = [START, READY, workloadEnded(1), kernelEnded(), { type: 'restart-due' }];
    expect(apply(CREATED, [...again, kernelEnded('failed')], 'always').machine.state).toBe('backoff');
    expect(apply(CREATED, [...again, READY, notExecuted, kernelEnded()], 'always').machine.state).toBe('exited');
  });

  it('ends what is not well and starts it again whatever its policy, unless a person stops it meanwhile', () => {
    const hung = apply(CREATED, [START, READY, HANGS]);
    expect(acts(hung.steps).at(-1)).toEqual({ do: 'end-kernel', how: 'kill' });
    expect(apply(hung.machine, [kernelEnded('died')]).machine).toMatchObject({
      state: 'backoff',
      exit: { reason: 'hung' },
    });
    expect(apply(hung.machine, [STOP, kernelEnded('died')]).machine.state).toBe('exited');
  });

  it('starts nothing while the old kernel is not proven to be gone, and then as it would have', () => {
    const stuck = apply(CREATED, [START, READY, UNPROVEN, { type: 'restart-due' }], 'always');
    expect(stuck.machine).toMatchObject({ state: 'stuck', ending: { reason: 'died' } });
    expect(acts(stuck.steps).map((step) => step.do)).toEqual(['boot', 'begin-workload']);
    expect(apply(stuck.machine, [kernelEnded('died')], 'always').machine.state).toBe('backoff');
    expect(apply(stuck.machine, [KILL]).machine.state).toBe('stopping');
    expect(apply(stuck.machine, [STOP, kernelEnded('died')], 'always').machine.state).toBe('exited');
  });

  it('heals a kernel that was lost, and not a workload that failed', () => {
    expect(apply(CREATED, [START, READY, kernelEnded('panic')], 'no', 'lost').machine.state).toBe('backoff');
    expect(apply(CREATED, [START, READY, workloadEnded(1), kernelEnded()], 'no', 'lost').machine.state).toBe('exited');
  });

  it('tells of a crash loop once', () => {
    const crash: MachineEvent[] = [READY, kernelEnded('panic'), { type: 'restart-due' }];
    const { steps } = apply(CREATED, [START, ...Array.from({ length: 14 }, () => crash).flat()], 'always');
    expect(steps.filter((step) => step.do === 'tell' && step.event === 'crash-loop')).toHaveLength(1);
    expect(steps.filter((step) => step.do === 'arm-restart').slice(9, 12)).toEqual(
      [60_000, LOOP_DELAY_MS, LOOP_DELAY_MS].map((delayMs) => ({ do: 'arm-restart', delayMs })),
    );
  });

  it.each<[InstanceState[], MachineEvent, MachineEvent[]]>([
    [['starting'], START, [START]],
    [['running'], START, [START, READY]],
    [['stopping'], START, [START, READY, STOP]],
    [['stuck'], START, [START, READY, KILL, UNPROVEN]],
    [['created'], KILL, []],
    [['exited'], KILL, [START, READY, KILL, kernelEnded()]],
    [['starting'], { type: 'pause' }, [START]],
    [['running'], { type: 'resume' }, [START, READY]],
  ])('in %s refuses %o', (_state, event, before) => {
    expect(transition(apply(CREATED, before).machine, event, { restart: 'no', heal: 'no' })).toHaveProperty('refused');
  });

  it('stays sound whatever happens in whatever order', () => {
    const event: fc.Arbitrary<MachineEvent> = fc.oneof(
      fc.constantFrom<MachineEvent>(START, READY, STOP, KILL, { type: 'pause' }, { type: 'resume' }),
      fc.constantFrom<MachineEvent>(HANGS, UNWELL, UNPROVEN),
      fc.constantFrom<MachineEvent>({ type: 'paused' }, { type: 'resumed' }, { type: 'restart-due' }),
      fc.nat(3).map(workloadEnded),
      fc
        .record({
          ranMs: fc.nat(20_000),
          reason: fc.constantFrom<InstanceExit['reason']>('panic', 'died', 'not-ready', 'failed'),
        })
        .map(({ reason, ranMs }) => kernelEnded(reason, ranMs)),
    );
    const policy = fc.constantFrom<RestartPolicy>('no', 'always', 'on-failure', 'on-failure:2');
    const scopes = fc.constantFrom<HealScope>('no', 'lost', 'hung', 'unhealthy');
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), policy, scopes, (events, chosen, scope) => {
        let machine = CREATED;
        let kernels = 0;
        let armed = false;
        for (const each of events) {
          const before = machine;
          const result = transition(machine, each, { restart: chosen, heal: scope });
          if ('refused' in result) {
            // Only people's wishes can be refused: what has happened has happened.
            expect(['start', 'kill', 'pause', 'resume', 'heal']).toContain(each.type);
            continue;
          }
          machine = result.machine;
          if (each.type === 'kernel-ended' && kernels > 0) kernels -= 1;
          for (const step of result.effects) {
            if (step.do === 'boot') kernels += 1;
            if (step.do === 'disarm-restart' || step.do === 'boot') armed = false;
            if (step.do === 'arm-restart') {
              armed = true;
              expect(step.delayMs === 0 || step.delayMs >= 1000).toBe(true);
              expect(step.delayMs).toBeLessThanOrEqual(LOOP_DELAY_MS);
            }
            if (step.do === 'begin-workload') expect(machine.state).toBe('running');
          }
          const active = ['starting', 'running', 'paused', 'stopping', 'stuck'].includes(machine.state);
          expect(kernels).toBe(active ? 1 : 0);
          expect(armed).toBe(machine.state === 'backoff');
          expect(machine.ending !== null).toBe(machine.state === 'stopping' || machine.state === 'stuck');
          if (machine.state === 'exited' || machine.state === 'backoff') expect(machine.exit).not.toBeNull();
          const isHealed = ['hung', 'unhealthy'].includes(machine.exit?.reason ?? '') || scope !== 'no';
          if (machine.state === 'backoff' && !isHealed) expect(chosen).not.toBe('no');
          if (before.state === 'created') expect(['created', 'starting']).toContain(machine.state);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
