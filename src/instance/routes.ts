/** What carries out the routes of instances. */
import type { Handlers } from '../core/route.ts';
import type { instanceApi } from './api.ts';
import type { Instance } from './instance.ts';
import { startedAlone } from './refusals.ts';
import type { InstanceStatus } from './spec.ts';
import type { Supervisor } from './supervisor.ts';

/** Instances and what can be done to them. A verb answers with the status once it is done. */
export function instanceHandlers(supervisor: Supervisor): Handlers<typeof instanceApi> {
  const of = ({ params }: { params: { name: string } }): Instance => supervisor.get(params.name);
  return {
    list: () => supervisor.list().map(({ status }) => withoutSecrets(status)),
    create: async ({ body }) => (await supervisor.create(body)).status,

    tryOut: ({ body }) => supervisor.tryOut(body),

    async inspect(call) {
      const instance = of(call);
      const part = instance.record.placement?.partition ?? null;
      return {
        ...instance.status,
        apicIds: part === null ? [] : supervisor.apicIds(part.shared?.cpus ?? part.cpus),
        real: await instance.placementNow().catch(() => null),
        capabilities: instance.driver.capabilities(),
        paths: supervisor.paths(instance),
      };
    },

    remove: ({ params, query }) => supervisor.remove(params.name, query.force),

    start: (call) => done(of(call), (instance) => start(instance, call.signal)),
    stop: (call) => done(of(call), (instance) => instance.stop(call.body.graceMs)),
    kill: (call) =>
      done(of(call), (instance) => {
        const { signal = 9 } = call.body;
        return signal === 9 ? instance.kill() : instance.signal(signal);
      }),
    pause: (call) => done(of(call), (instance) => instance.pause()),
    resume: (call) => done(of(call), (instance) => instance.resume()),
    restart: (call) =>
      done(of(call), async (instance) => {
        const { body, signal } = call;
        await instance.stop(body.graceMs);
        await start(instance, signal);
      }),
    wait: (call) => done(of(call), (instance) => instance.ended(call.signal)),

    logs: ({ params, query, signal }) => supervisor.logs(params.name, query, signal),
    getFile: async (call) => (await of(call).guest()).readFile(call.query.path),
    async putFile(call) {
      const { path, mode = '0644' } = call.query;
      const guest = await of(call).guest();
      return await guest.writeFile(path, Number.parseInt(mode, 8), call.body ?? new Uint8Array());
    },
    getTree: async (call) => (await of(call).guest()).readTree(call.query.path, call.query.as ?? '.', call.signal),
    async putTree(call) {
      const { path, as = '', directory, owners } = call.query;
      const instance = of(call);
      const owner = supervisor.copyOwner(instance.name);
      const words = { name: as, isDirectory: directory, keepsOwners: owners, owner };
      const guest = await instance.guest();
      return await guest.writeTree(path, words, call.body ?? new Uint8Array(), call.signal);
    },
  };
}

function start(instance: Instance, signal: AbortSignal): Promise<void> {
  return instance.start(signal).catch((error) => {
    throw startedAlone(instance.name, error);
  });
}

async function done(instance: Instance, act: (instance: Instance) => unknown): Promise<InstanceStatus> {
  await act(instance);
  return instance.status;
}

/** Lists go to dashboards and bug reports: what an environment holds is told of one instance alone, to who asks for it. */
function withoutSecrets(status: InstanceStatus): InstanceStatus {
  const env = Object.fromEntries(Object.keys(status.spec.env).map((name) => [name, '(hidden)']));
  return { ...status, spec: { ...status.spec, env } };
}
