/** What a changed specification means for the rest of an instance's record. */
import type { InstanceRecord } from './record.ts';
import { declaredSize } from './size.ts';
import type { InstanceSpec } from './spec.ts';

/** A size that is declared anew is what it gets. */
export const isResized = (before: InstanceSpec, after: InstanceSpec | undefined): boolean =>
  after !== undefined && JSON.stringify(declaredSize(after)) !== JSON.stringify(declaredSize(before));

/** Other paths are looked at anew when they are first used. */
export const withSources = (record: InstanceRecord, { root, volumes, cwd }: InstanceSpec): InstanceRecord =>
  JSON.stringify([root, volumes, cwd]) === JSON.stringify([record.spec.root, record.spec.volumes, record.spec.cwd])
    ? record
    : { ...record, sources: null };
