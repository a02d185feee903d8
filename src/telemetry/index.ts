/** Telemetry, as one thing that a daemon can do. */
import type { ChannelManager } from '../channel/contract.ts';
import type { Family } from '../core/metric.ts';
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import type { Instances, Provider } from '../instance/contract.ts';
import { telemetryApi } from './api.ts';
import type { RequestStats } from './contract.ts';
import { telemetryHandlers } from './routes.ts';
import { Telemetry } from './telemetry.ts';

interface Measured {
  instances(): Pick<Instances, 'list' | 'get'>;
  channels: Pick<ChannelManager, 'list'>;
  services: {
    /** What came to an instance; null when nothing counts it. */
    trafficOf(instance: string): RequestStats | null;
  };
  /** What other capabilities have to say to Prometheus. */
  families(): Iterable<Family>;
}

/** `samplesPerSecond`: 1 to 10. */
export function telemetryCapability(around: Surroundings, measured: Measured, samplesPerSecond: number) {
  const telemetry = new Telemetry({
    ...around,
    path: around.paths.telemetry,
    instances: () =>
      measured
        .instances()
        .list()
        .map(({ status }) => status),
    channels: measured.channels,
    families: () => measured.families(),
    requestsOf: (instance) => measured.services.trafficOf(instance),
    samplesPerSecond,
  });
  const provider: Provider = {
    name: 'its numbers',
    kernelUp: ({ id }, kernel) => telemetry.kernelUp(id, kernel),
    releaseAllBut: (owners) => telemetry.forgetAllBut(owners().ids),
  };
  return {
    name: 'telemetry',
    telemetry,
    routes: served(telemetryApi, telemetryHandlers(telemetry, measured.instances)),
    provider,
    close: (farewell: boolean) => telemetry.close(farewell),
  };
}
