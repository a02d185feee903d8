/** The API of parts that a test has. */
import type { FastifyInstance } from 'fastify';
import { channelApi } from '../../src/channel/api.ts';
import type { ChannelManager } from '../../src/channel/contract.ts';
import { channelHandlers } from '../../src/channel/routes.ts';
import { type Served, served } from '../../src/core/route.ts';
import { createApi } from '../../src/core/server.ts';
import { daemonApi } from '../../src/daemon/api.ts';
import { daemonHandlers, type Itself } from '../../src/daemon/routes.ts';
import { doctorApi } from '../../src/doctor/api.ts';
import { doctorHandlers } from '../../src/doctor/routes.ts';
import { imageApi } from '../../src/image/api.ts';
import type { Images } from '../../src/image/contract.ts';
import { imageHandlers } from '../../src/image/routes.ts';
import { instanceApi } from '../../src/instance/api.ts';
import { instanceHandlers } from '../../src/instance/routes.ts';
import type { Supervisor } from '../../src/instance/supervisor.ts';
import { poolApi } from '../../src/pool/api.ts';
import type { Resources } from '../../src/pool/resources.ts';
import { poolHandlers } from '../../src/pool/routes.ts';
import { serviceApi } from '../../src/service/api.ts';
import type { ServiceManager } from '../../src/service/contract.ts';
import { serviceHandlers } from '../../src/service/routes.ts';
import { stackApi } from '../../src/stack/api.ts';
import type { Stacks } from '../../src/stack/apply.ts';
import { stackHandlers } from '../../src/stack/routes.ts';
import { telemetryApi } from '../../src/telemetry/api.ts';
import { telemetryHandlers } from '../../src/telemetry/routes.ts';
import type { Telemetry } from '../../src/telemetry/telemetry.ts';

/** What the routes lead to. */
export interface Parts extends Itself {
  supervisor: Supervisor;
  resources: Resources;
  stacks: Stacks;
  channels: ChannelManager;
  telemetry: Telemetry;
  services: ServiceManager;
  images: Images;
  doctor: Parameters<typeof doctorHandlers>[0];
}

export const servedOf = (parts: Parts): Served[] => [
  served(daemonApi, daemonHandlers(parts)),
  served(doctorApi, doctorHandlers(parts.doctor)),
  served(instanceApi, instanceHandlers(parts.supervisor)),
  served(
    imageApi,
    imageHandlers(parts.images, () => parts.supervisor),
  ),
  served(channelApi, channelHandlers(parts.channels)),
  served(serviceApi, serviceHandlers(parts.services)),
  served(
    telemetryApi,
    telemetryHandlers(parts.telemetry, () => parts.supervisor),
  ),
  served(poolApi, poolHandlers(parts.resources)),
  served(stackApi, stackHandlers(parts.stacks)),
];

/** What is asked of other parts fails. */
export function apiOf(parts: { [K in keyof Parts]?: unknown }): FastifyInstance {
  return createApi(servedOf(parts as Parts), {
    ending: new AbortController().signal,
    settled: async () => {},
    complain: () => {},
  });
}
