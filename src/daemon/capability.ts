/** One thing the daemon can do. */
import type { Check } from '../core/check.ts';
import type { Family } from '../core/metric.ts';
import type { Served } from '../core/route.ts';
import type { Provider } from '../instance/contract.ts';

export interface Capability {
  /** For messages: `taking up NAME`. */
  readonly name: string;
  /** Its share in the life of an instance. */
  readonly provider?: Provider;
  /** Without it there is no daemon: when it cannot be taken up, the start fails. Of others it is told, and they do without. */
  readonly isVital?: boolean;
  /** Its part of the API. */
  readonly routes?: Served;
  /** What doctor says of what it needs; quick, and changes nothing. */
  checks?(): Promise<readonly Check[]>;
  /** What it has to say to Prometheus. */
  metrics?(): readonly Family[];
  /** Takes up what an earlier daemon left. */
  recover?(): Promise<void>;
  /** Lets go; without `farewell` nothing more is written, as after SIGKILL. */
  close?(farewell: boolean): Promise<void> | void;
}
