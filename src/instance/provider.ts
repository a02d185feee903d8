/** Providers: each gives an instance something that it owns, and takes it back. Some are told as well when its kernel runs. */
import type { Capabilities, Kernel, LaunchSpec, SharedRegion } from '../driver/index.ts';
import type { KernelImage } from '../image/contract.ts';
import type { PolykernelError } from '../sys/errors.ts';
import type { StackPart } from './instances.ts';
import type { InstanceRecord } from './record.ts';
import type { InstanceSpec } from './spec.ts';

/** An instance that is being created. */
export interface Draft {
  id: string;
  spec: InstanceSpec;
  image: KernelImage;
  part: StackPart | undefined;
}

/** Of an instance that is being created, as much as it was given so far. */
export type Owner = Pick<InstanceRecord, 'id' | 'spec'> & Partial<InstanceRecord>;

/** Whose things may be, by id and by name: instances, those that are being made, and what an earlier daemon left that has not ended. */
export interface Owners {
  ids: ReadonlySet<string>;
  names: ReadonlySet<string>;
}

/** What a kernel is started with besides what its record says. */
export type Provided = Pick<LaunchSpec, 'regions' | 'network' | 'housekeepingCpus' | 'spareCpus' | 'devices'>;

/**
 * The order of providers is that of taking; what they gave is taken back in the reverse order, also when one of them throws.
 * Each method that is not there does nothing.
 */
export interface Provider {
  /** What it gives, for messages. */
  readonly name: string;
  /** Before the first reserve(); others may be waited for. */
  prepare?(draft: Draft): Promise<void>;
  /**
   * What the record is to hold of it. From the first provider's until the record is there nothing is awaited: what is free stays
   * free. `owner`: what those before gave. Throws `conflict` or `unavailable` when it cannot be had, and `unsupported` when it is of no use.
   */
  reserve?(draft: Draft, owner: Owner): Partial<InstanceRecord>;
  /** The instance is there. */
  created?(record: InstanceRecord): void;
  /** Before its spec becomes another; others may be waited for. */
  prepareChange?(record: InstanceRecord, spec: InstanceSpec): Promise<void>;
  /**
   * What the record is to hold of it now that its spec is another. Nothing is awaited until that is recorded. `others`: the records of all
   * others as they are to be. Throws as reserve().
   */
  change?(record: InstanceRecord, before: InstanceSpec, others: readonly InstanceRecord[]): Partial<InstanceRecord>;
  /** That is recorded: what it has no more is taken back. Nothing of it runs, but where only what is changed live is another. */
  changed?(record: InstanceRecord, before: InstanceRecord): Promise<void>;
  /** Throws `conflict` when what it has speaks against its becoming `spec`; `tenantOf` tells of all as they are to be. */
  check?(spec: InstanceSpec, tenantOf: (instance: string) => string | null | undefined): void;
  /** What would be wrong, by name, were these there in place of those of the same names and of all that `isReplaced`. */
  problems?(specs: readonly InstanceSpec[], isReplaced: (spec: InstanceSpec) => boolean): Map<string, PolykernelError>;
  /** For its next kernel. */
  launch?(record: InstanceRecord, can: Capabilities): Promise<Partial<Provided>>;
  /** A kernel of it is ready, started with `regions` of shared memory or, `adopted`, found again. */
  kernelUp?(record: InstanceRecord, kernel: Kernel, regions: readonly SharedRegion[], adopted: boolean): void;
  /** Its time goes on after a pause. */
  resumed?(kernel: Kernel): Promise<void>;
  /** All it was given, in part too, while nothing of it runs. Idempotent. */
  release?(owner: Owner): Promise<void> | void;
  /** What belongs to none of these is free again: at start, and whenever something that nobody knows has ended. They are asked for at that very moment. */
  releaseAllBut?(owners: () => Owners): Promise<void> | void;
}

/** Takes back what `owner` was given, whoever fails: that is told by `complain`. */
export async function releaseAll(
  providers: readonly Provider[],
  owner: Owner,
  complain: (doing: string, error: unknown) => void,
): Promise<void> {
  for (const provider of [...providers].reverse()) {
    try {
      await provider.release?.(owner);
    } catch (error) {
      complain(`removing ${owner.spec.name}: taking back ${provider.name}`, error);
    }
  }
}

/** Provider.changed() of all that have another spec, whatever fails: a next change would find nothing to do. Then rejects with what failed first. */
export async function changedAll(
  providers: readonly Provider[],
  changes: readonly { record: InstanceRecord; before: InstanceRecord }[],
): Promise<void> {
  const failed: unknown[] = [];
  for (const { record, before } of changes.filter(({ record, before }) => record.spec !== before.spec))
    for (const provider of providers)
      await Promise.try(() => provider.changed?.(record, before)).catch((error) => failed.push(error));
  if (failed.length > 0) throw failed[0];
}
