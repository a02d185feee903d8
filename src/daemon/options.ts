/** The options of createDaemon(): what a daemon is made of. */
import type { Journal } from '../core/journal.ts';
import type { DoctorCheck } from '../doctor/contract.ts';
import type { Driver } from '../driver/index.ts';
import type { Images, KernelImage } from '../image/contract.ts';
import type { Identities } from '../instance/identities.ts';
import type { PrepareRoot } from '../instance/launcher.ts';
import type { KerfMachine } from '../kerf/index.ts';
import type { HostMachine } from '../pool/index.ts';
import type { Endpoints } from '../service/contract.ts';
import type { FunctionHost } from '../sriov/index.ts';
import type { Clock } from '../sys/clock.ts';
import type { MetricsAddress } from '../telemetry/metrics-server.ts';

export interface DaemonOptions {
  /** Absolute path of the state directory; made if absent. */
  home: string;
  drivers: readonly Driver[];
  images: Images & { resolve(name: string): Promise<KernelImage> };
  prepareRoot: PrepareRoot;
  doctor?(): Promise<DoctorCheck[]>;
  host: HostMachine;
  /** The kernel whose PCI functions are given away. Default: none are. */
  functions?: FunctionHost;
  /** The machine whose kernel kerf may have parted. Default: nothing is taken over. */
  kerf?: KerfMachine;
  /** Where instances can be reached. Default: nowhere. */
  endpoints?: Endpoints;
  clock?: Clock;
  random?: () => number;
  journal?: Journal;
  /** How often a second instances are measured, 1 to 10; default 2. */
  samplesPerSecond?: number;
  /** Where Prometheus may ask as well; default: the socket alone. */
  metricsAddress?: MetricsAddress | undefined;
  /** Version of the package. */
  version?: string;
  /** Whose kernels' processes are; default: as this user can give. */
  identities?: Identities;
  /** Whether the network of the host may be used; default: whether this is root. */
  privileged?: boolean;
  /** Rotation of workload logs. */
  logBytes?: number;
  /** Called when a client asked for the end. Default: close(). */
  onShutdown?(): void;
}
