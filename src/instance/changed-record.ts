/** What a changed specification means for the rest of an instance's record. */
import type { Provider } from './provider.ts';
import type { Change, InstanceRecord } from './record.ts';
import { declaredSize } from './size.ts';
import type { InstanceSpec } from './spec.ts';

/** What the records of those that are named are to be; nothing is awaited. Throws `not-found`, and as Provider.change(). */
export function changedRecords<I extends { record: InstanceRecord }>(
  changes: ReadonlyMap<string, Change>,
  instances: { list(): I[]; get(name: string): I },
  providers: readonly Provider[],
): { instance: I; before: InstanceRecord; record: InstanceRecord }[] {
  const toBe = instances
    .list()
    .map(({ record }) => ({ ...record, spec: changes.get(record.spec.name)?.spec ?? record.spec }));
  return [...changes].map(([name, change]) => {
    const instance = instances.get(name);
    const { spec: before, size, networkNumber } = instance.record;
    let record: InstanceRecord = { ...instance.record, size: isResized(before, change.spec) ? null : size, ...change };
    if (change.spec !== undefined) record.former = { spec: before, networkNumber };
    const others = toBe.filter(({ id }) => id !== record.id);
    if (change.spec !== undefined)
      for (const provider of providers) record = { ...record, ...provider.change?.(record, before, others) };
    return { instance, before: instance.record, record: withSources(record, before) };
  });
}

/** A size that is declared anew is what it gets. */
const isResized = (before: InstanceSpec, after: InstanceSpec | undefined): boolean =>
  after !== undefined && JSON.stringify(declaredSize(after)) !== JSON.stringify(declaredSize(before));

/** Other paths are looked at anew when they are first used. */
const withSources = (record: InstanceRecord, { root, volumes, cwd }: InstanceSpec): InstanceRecord =>
  JSON.stringify([root, volumes, cwd]) === JSON.stringify([record.spec.root, record.spec.volumes, record.spec.cwd])
    ? record
    : { ...record, sources: null };
