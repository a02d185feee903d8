/** What is simulated, and what comes out. */
import type { Kernel } from '../types.ts';

/** A kernel with what a policy is not told: how its requests really behave. */
export interface Tenant extends Kernel {
  /** CPU-milliseconds of a request, mean, and its squared coefficient of variation (1: like an exponential). */
  serviceMs: number;
  variation: number;
  /** CPUs that it can use at most: its threads, its locks. */
  parallelism: number;
  /** Requests that wait at most; more are shed. */
  queueLimit: number;
  /** MiB it has, and needs: `base` + `perRequest` for each request per second. What is lacking makes requests slower. */
  memory?: { has: number; base: number; perRequest: number };
  /** It says that it is busy and waiting, whatever it does. */
  lies?: boolean;
}

export interface Case {
  name: string;
  family: string;
  cpus: number;
  grain: number;
  /** From the decision to the CPU that works for its new owner; the old one loses it at once. */
  moveSeconds: number;
  tenants: readonly Tenant[];
  /** Requests per second of each tenant, one value a second; batch kernels have none. */
  load: readonly Float32Array[];
  seconds: number;
  /** Length of a step: 1, or a part of a second that goes into it whole, so that policies with short intervals can show what that is worth. */
  step: number;
}

/** A row of `pk balance simulate`. */
export interface Outcome {
  policy: string;
  /** Seconds of services in which more than 1 % of the requests that came were late, shed or lost. */
  violationSeconds: number;
  /** CPU-seconds owned by kernels, and those owned by services. */
  coreSeconds: number;
  serviceCoreSeconds: number;
  /** CPU-seconds that batch kernels worked. */
  bestEffortWork: number;
  /** Over all requests of all services. */
  p99Ms: number;
  /** CPUs moved, in pieces. */
  moves: number;
  /** (V − V*) / (V of static − V*): 0 = as good as one who knows the future, 1 = as bad as the equal split. `null`: V* was not asked. */
  regret: number | null;
}
