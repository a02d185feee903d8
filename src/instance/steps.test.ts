import { expect, it } from 'vitest';
import { Steps } from '../core/steps.ts';
import type { KernelSize } from '../driver/index.ts';
import { type InstanceStep, instanceExecutors, resizeInstance } from './steps.ts';

const MIB = 2 ** 20;
const BEFORE = { cpus: 1, memoryBytes: 256 * MIB };

it('says which part of a size changes, so that nobody is asked for the rest', () => {
  const partsOf = (step: InstanceStep) => [step, step.undo].map((each) => each && 'part' in each && each.part);
  expect(partsOf(resizeInstance('web', BEFORE, { cpus: 1, memoryBytes: 128 * MIB }))).toEqual(
    Array(2).fill('memoryBytes'),
  );
  expect(partsOf(resizeInstance('web', BEFORE, { cpus: 2, memoryBytes: 256 * MIB }))).toEqual(Array(2).fill('cpus'));
  expect(partsOf(resizeInstance('web', BEFORE, { cpus: 2, memoryBytes: 128 * MIB }))).toEqual([false, false]);
});

it('goes by what was read back while its kernel was resized, and looks again where that is something else', async () => {
  const looks: (string | undefined)[] = [];
  const asked: unknown[] = [];
  const record = { spec: { ...BEFORE, elastic: { cpus: null, memoryBytes: { min: 0, max: 256 * MIB } } }, size: null };
  const instance = {
    record: record as { spec: object; size: object | null },
    holdsShare: async () => true,
    sizeNow: async (part?: string) => {
      looks.push(part);
      return { cpus: 1, memoryBytes: 128 * MIB };
    },
  };
  let readBack: KernelSize | null = { cpus: 9, memoryBytes: 128 * MIB };
  const instances = {
    get: () => instance,
    update: (changes: ReadonlyMap<string, object>) => Object.assign(instance.record, changes.get('web')),
    resize: async (...args: unknown[]) => {
      asked.push(args);
      return readBack;
    },
  };
  const steps = new Steps<InstanceStep>({
    executors: instanceExecutors(instances as never),
    table: { change: () => {}, all: () => [] } as never,
    journal: { info: () => {}, error: () => {}, close: () => {} },
  });
  await steps.submit([resizeInstance('web', BEFORE, { cpus: 1, memoryBytes: 128 * MIB })]);
  expect([asked, looks]).toEqual([[['web', null, 'memoryBytes']], []]);
  readBack = { cpus: 1, memoryBytes: 130 * MIB };
  await steps.submit([resizeInstance('web', BEFORE, { cpus: 1, memoryBytes: 128 * MIB })]);
  expect(looks).toEqual(['memoryBytes']);
});
