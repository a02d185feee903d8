/** All instances, as other capabilities see and use them. */
import type { KernelSize } from '../driver/index.ts';
import type { Ledger, Pool } from '../ledger/index.ts';
import type { PolykernelError } from '../sys/errors.ts';
import type { Instance } from './instance.ts';
import type { Change } from './record.ts';
import type { CreateRequest } from './schema.ts';
import type { InstanceSpec, InstanceStatus, Placement, Size } from './spec.ts';

/** What a stack adds to a request. */
export interface StackPart {
  stack: string;
  /** The definition in the stack file, as JSON. */
  definition: string;
  /** Where the plan put it; null = unpartitioned. */
  placement: Placement | null;
}

/** An instance as it is. */
export interface Observed {
  status: InstanceStatus;
  /** JSON of the definition it was made from; null without a stack. */
  definition: string | null;
  /** How its kernel really sits where the ledger says; null when that holds or nothing runs. */
  misplaced: string | null;
}

export interface Instances {
  list(): Instance[];
  /** By name; undefined when there is none. */
  find(name: string): Instance | undefined;
  /** By name or id. Throws `not-found`. */
  get(name: string): Instance;
  /** Who owns what now. */
  ledger(): Ledger;
  /** All of them with what plans are made from. */
  observe(): Promise<Observed[]>;
  /** The spec a request would give an instance called `name`. Throws as create() does. */
  resolve(request: CreateRequest, name: string): Promise<InstanceSpec>;
  /** Of what an image's name stands for now. Throws `not-found`. */
  imageDigest(image: string): Promise<string>;
  /** What would be wrong with the names of these as the kernels of a stack, by name. */
  nameProblems(specs: readonly InstanceSpec[], stack: string): Map<string, PolykernelError>;
  /** Records an instance and, unless told otherwise, begins to start it. Throws `invalid`, `conflict`, `unavailable`. */
  create(request: CreateRequest, part?: StackPart): Promise<Instance>;
  /** Throws `conflict` for one that runs, unless forced. */
  remove(name: string, force?: boolean): Promise<void>;
  /** Gives instances other specs and placements, and the machine another pool unless it is null: all of it or nothing. Throws `conflict`. */
  update(changes: ReadonlyMap<string, Change>, pool: Pool | null): Promise<void>;
  /** Moves a running kernel to the CPUs its instance owns now; for any other there is nothing to do. Waits as Instance.takenOver(). */
  repin(name: string): Promise<void>;
  /** Has a kernel become as large as recorded; `vcpuCpus` and `part` as Instance.resize() has them. */
  resize(name: string, vcpuCpus: readonly number[] | null, part?: keyof Size): Promise<KernelSize | null>;
  /** Moves the kernels of these that run, or of all, to the CPUs they own now, and all else of them to the housekeeping CPUs; what is being taken over when it is. What fails is told in the journal. */
  repinAll(names?: readonly string[]): Promise<void>;
  /** Whether the kernels of these that run, or of all, sit where the ledger says, as they were told and as the host kernel says. Waits as Instance.takenOver(). */
  areInPlace(names?: readonly string[]): Promise<boolean>;
}
