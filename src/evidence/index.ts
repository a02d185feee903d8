/** Evidence, as one thing that a daemon can do: what others know of an instance, in one answer. */
import { type Handlers, served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import type { Healing } from '../heal/contract.ts';
import type { HealthStatus } from '../health/contract.ts';
import type { InstanceStatus, Instances } from '../instance/contract.ts';
import { timestamp } from '../sys/clock.ts';
import { plainLine } from '../sys/text.ts';
import type { InstanceStats } from '../telemetry/contract.ts';
import { evidenceApi } from './api.ts';
import { MemoryReader } from './memory.ts';
import type { Evidence } from './types.ts';

interface Given {
  instances(): Pick<Instances, 'get'>;
  health(name: string): HealthStatus;
  healings(name: string): Healing[];
  stats(): readonly InstanceStats[];
}

export function evidenceCapability({ clock, events }: Surroundings, given: Given) {
  const memory = new MemoryReader();
  const collect = async (name: string): Promise<Evidence> => {
    const instance = given.instances().get(name);
    const { name: known, record } = instance;
    const registers = await instance.registers().then(
      (text) => ({ registers: text || null, noRegisters: text ? '' : 'nothing runs, or its driver gives none' }),
      (error: Error) => ({ registers: null, noRegisters: plainLine(error.message, 500) }),
    );
    return {
      format: 'polykernel-core',
      version: 1,
      at: timestamp(clock),
      status: withoutSecrets(instance.status),
      health: given.health(known),
      healings: given.healings(known),
      stats: given.stats().find((stats) => stats.name === known) ?? null,
      events: events.since(0).filter(({ id }) => id === record.id),
      ...registers,
      memory: instance.memory && { mostBytes: instance.memory.mostBytes },
    };
  };
  const handlers: Handlers<typeof evidenceApi> = {
    evidence: ({ params }) => collect(params.name),
    async getMemory({ params, signal }) {
      const instance = given.instances().get(params.name);
      await instance.takenOver(signal);
      return await memory.read(instance, signal);
    },
  };
  return { name: 'evidence', routes: served(evidenceApi, handlers) };
}

const withoutSecrets = (status: InstanceStatus): InstanceStatus => ({
  ...status,
  spec: { ...status.spec, env: Object.fromEntries(Object.keys(status.spec.env).map((name) => [name, '(hidden)'])) },
});
