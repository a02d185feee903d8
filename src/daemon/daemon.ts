/** The composition root: store, supervisor, API and socket make one daemon. */
import { chmodSync, existsSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { EventLog } from '../core/events.ts';
import { silentJournal } from '../core/journal.ts';
import { Mutex } from '../core/mutex.ts';
import type { Api } from '../core/route.ts';
import { serveStreams } from '../core/serve-streams.ts';
import { createApi } from '../core/server.ts';
import { forgetHolder, Store } from '../core/store.ts';
import type { Surroundings } from '../core/surroundings.ts';
import { identitiesOf } from '../instance/choose-identities.ts';
import { instanceStreams } from '../instance/streams.ts';
import type { Supervisor } from '../instance/supervisor.ts';
import { systemClock } from '../sys/clock.ts';
import { asPolykernelError } from '../sys/errors.ts';
import { checkSocketPath, layout, stoppedMark } from '../sys/paths.ts';
import { STATE, takePlace } from '../sys/places.ts';
import { removeStateCopies } from '../sys/state-copies.ts';
import { type MetricsServer, serveMetrics } from '../telemetry/metrics-server.ts';
import { compose } from './capabilities.ts';
import type { DaemonOptions } from './options.ts';

export interface Daemon {
  socket: string;
  supervisor: Supervisor;
  /** The contracts it serves. */
  apis: readonly Api[];
  /** Stops serving and lets go of all kernels, which run on. */
  close(): Promise<void>;
  /** For tests: the end as SIGKILL makes it, without any farewell to store or clients. */
  drop(): Promise<void>;
}

/**
 * Starts serving <home>/daemon.sock. Rejects with `conflict` when another daemon runs for this home, `internal` when the
 * database is damaged, `permission` when the directory cannot be written.
 */
export async function createDaemon(options: DaemonOptions): Promise<Daemon> {
  const { home, clock = systemClock, journal = silentJournal, privileged = process.getuid?.() === 0 } = options;
  const paths = layout(home);
  checkSocketPath(paths.socket);
  takePlace(home, STATE);
  const store = Store.open(paths);
  const events = new EventLog(() => store.nextSequence());
  const around: Surroundings = { paths, store, events, clock, journal, mutex: new Mutex() };
  const startedAt = new Date(clock.now()).toISOString();
  const all = compose(around, {
    ...options,
    privileged,
    identities: options.identities ?? (await identitiesOf(home)),
    random: options.random ?? Math.random,
    samplesPerSecond: options.samplesPerSecond ?? 2,
    itself: {
      events,
      version: () => ({ version: options.version ?? '0.0.0', apiVersion: 1, pid: process.pid, startedAt, home }),
      shutdown: options.onShutdown ?? (() => void close()),
    },
  });
  const { supervisor, telemetry } = all;
  const ending = new AbortController();
  const serving = {
    ending: ending.signal,
    settled: () => store.settled(),
    complain: (text: string, error: unknown) => journal.error(text, error),
  };
  const served = all.capabilities.flatMap(({ routes }) => routes ?? []);
  const api = createApi(served, serving);
  let endStreams = () => {};
  let metricsServer: MetricsServer | undefined;

  /** Takes no more requests; streams are still served. Resolves when that is so, with what ends them. */
  async function release(): Promise<() => Promise<void>> {
    // First, so that what is given up now is left to the next daemon.
    all.steps.close();
    ending.abort();
    metricsServer?.close();
    const closed = api.close();
    while (api.server.listening) await turn();
    return async () => {
      endStreams();
      await closed;
    };
  }
  let closing: Promise<void> | undefined;
  /** In the reverse order of taking up. */
  const letGo = async (farewell: boolean) => {
    for (const { close } of [...all.capabilities].reverse()) await close?.(farewell);
    if (farewell) forgetHolder(paths);
    store.close(farewell);
  };
  const close = () => {
    closing ??= (async () => {
      const endStreams = await release();
      // While the database is ours, and so they are: the next daemon may begin at once.
      rmSync(paths.socket, { force: true });
      await letGo(true);
      await endStreams();
    })();
    return closing;
  };

  try {
    await api.ready();
    endStreams = serveStreams(api.server as Server, instanceStreams(supervisor, serving), serving);
    for (const { name, isVital, recover } of all.capabilities) {
      const recovered = recover?.();
      await (isVital ? recovered : recovered?.catch((error) => journal.error(`taking up ${name}`, error)));
    }
    // Whoever left this socket is gone: the lock on the database is ours.
    if (existsSync(paths.socket)) rmSync(paths.socket);
    const mask = process.umask(0o177);
    try {
      await api.listen({ path: paths.socket });
    } finally {
      process.umask(mask);
    }
    chmodSync(paths.socket, 0o600);
    rmSync(stoppedMark(paths.socket), { force: true });
    if (options.metricsAddress !== undefined)
      metricsServer = await serveMetrics(options.metricsAddress, () => telemetry.metrics());
    removeStateCopies(paths);
  } catch (error) {
    await close();
    throw asPolykernelError(error, `serving ${paths.socket}`);
  }
  const drop = () => {
    closing ??= (async () => {
      await letGo(false);
      await (await release())();
    })();
    return closing;
  };
  return { socket: paths.socket, supervisor, apis: served.map(({ api }) => api), close, drop };
}
