/** The routes of the API: each room's contract with what carries it out. */
import { open } from 'node:fs/promises';
import { balanceApi } from '../balance/api.ts';
import type { Moves } from '../balance/moves.ts';
import { balanceHandlers } from '../balance/routes.ts';
import { channelApi } from '../channel/api.ts';
import type { ChannelManager } from '../channel/contract.ts';
import { channelHandlers } from '../channel/routes.ts';
import type { EventLog } from '../core/events.ts';
import { type Handlers, type Served, served } from '../core/route.ts';
import { doctorApi } from '../doctor/api.ts';
import type { DoctorReport } from '../doctor/contract.ts';
import { doctorHandlers } from '../doctor/routes.ts';
import { imageApi } from '../image/api.ts';
import type { Images } from '../image/contract.ts';
import { imageHandlers } from '../image/routes.ts';
import { instanceApi } from '../instance/api.ts';
import { instanceHandlers } from '../instance/routes.ts';
import type { Supervisor } from '../instance/supervisor.ts';
import { poolApi } from '../pool/api.ts';
import type { Resources } from '../pool/resources.ts';
import { poolHandlers } from '../pool/routes.ts';
import { serviceApi } from '../service/api.ts';
import type { ServiceManager } from '../service/contract.ts';
import { serviceHandlers } from '../service/routes.ts';
import { stackApi } from '../stack/api.ts';
import type { Stacks } from '../stack/apply.ts';
import { stackHandlers } from '../stack/routes.ts';
import { PolykernelError } from '../sys/errors.ts';
import { telemetryApi } from '../telemetry/api.ts';
import { telemetryHandlers } from '../telemetry/routes.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { daemonApi } from './api.ts';
import type { VersionInfo } from './contract.ts';

/** What the routes lead to. */
export interface Parts {
  supervisor: Supervisor;
  resources: Resources;
  stacks: Stacks;
  moves: Moves;
  channels: ChannelManager;
  telemetry: Pick<Telemetry, 'stats' | 'series' | 'metrics'>;
  services: ServiceManager;
  events: EventLog;
  images: Images;
  version(): VersionInfo;
  doctor(): Promise<DoctorReport>;
  /** Ends the daemon. */
  shutdown(): void;
}

export const routesOf = (parts: Parts): Served[] => [
  served(daemonApi, daemonHandlers(parts)),
  served(doctorApi, doctorHandlers(parts.doctor)),
  served(instanceApi, instanceHandlers(parts.supervisor)),
  served(imageApi, imageHandlers(parts.images, parts.supervisor)),
  served(channelApi, channelHandlers(parts.channels)),
  served(serviceApi, serviceHandlers(parts.services)),
  served(telemetryApi, telemetryHandlers(parts.telemetry, parts.supervisor)),
  served(poolApi, poolHandlers(parts.resources)),
  served(stackApi, stackHandlers(parts.stacks)),
  served(balanceApi, balanceHandlers(parts.moves)),
];

const OPENAPI = new URL('./openapi.json', import.meta.url);

const daemonHandlers = ({ version, shutdown, events }: Parts): Handlers<typeof daemonApi> => ({
  version: () => version(),
  shutdown({ afterwards }) {
    afterwards(shutdown);
    return {};
  },
  events: ({ query, headers }) => ({ log: events, since: query.since ?? lastEventId(headers['last-event-id']) }),
  async openapi() {
    // As it is read, not all of it in memory for each client that does not.
    const file = await open(OPENAPI).catch((cause) => {
      throw new PolykernelError('internal', 'the description of the API is missing from this installation', { cause });
    });
    return file.createReadStream();
  },
});

function lastEventId(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}
