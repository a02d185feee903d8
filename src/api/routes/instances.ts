import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Instance } from '../../instance/contract.ts';
import type { ApiContext } from '../context.ts';
import { describe } from '../describe.ts';
import { answers, queries, requests } from '../schemas.ts';
import type { InstanceDetails, InstanceStatus } from '../types.ts';
import { untilGone } from './abort.ts';

interface Named {
  Params: { name: string };
}

/** Lists go to dashboards and bug reports: what an environment holds is told of one instance alone, to who asks for it. */
function withoutSecrets(status: InstanceStatus): InstanceStatus {
  const env = Object.fromEntries(Object.keys(status.spec.env).map((name) => [name, '(hidden)']));
  return { ...status, spec: { ...status.spec, env } };
}

/** Instances and what can be done to them. */
export function registerInstances(server: FastifyInstance, context: ApiContext): void {
  const { supervisor } = context;
  const tags = ['instances'];

  server.get(
    '/v1/instances',
    {
      schema: describe({
        summary: 'All instances, values of their environments hidden',
        tags,
        response: { 200: answers.instances },
      }),
    },
    async () => ({
      instances: supervisor.list().map(({ status }) => withoutSecrets(status)),
    }),
  );

  server.post(
    '/v1/instances',
    {
      schema: describe({
        summary: 'Create an instance and begin to start it',
        tags,
        body: requests.create,
        response: { 201: answers.status },
      }),
    },
    async (request, reply) => {
      const instance = await supervisor.create(request.body);
      return reply.code(201).send(instance.status);
    },
  );

  server.get<Named>(
    '/v1/instances/:name',
    { schema: describe({ summary: 'One instance in full', tags, response: { 200: answers.details } }) },
    async (request) => {
      const instance = supervisor.get(request.params.name);
      return {
        ...instance.status,
        real: await instance.placementNow().catch(() => null),
        capabilities: instance.driver.capabilities(),
        paths: supervisor.paths(instance),
      } satisfies InstanceDetails;
    },
  );

  server.delete<Named & { Querystring: { force?: boolean } }>(
    '/v1/instances/:name',
    {
      schema: describe({
        summary: 'Remove an instance',
        description: 'A running one only with force, which kills it.',
        tags,
        querystring: queries.remove,
      }),
    },
    async (request, reply) => {
      await supervisor.remove(request.params.name, request.query.force);
      return reply.code(204).send();
    },
  );

  /** A verb answers with the status once it is done. */
  function verb<Body extends object>(
    name: string,
    summary: string,
    body: object,
    action: (instance: Instance, body: Body, signal: AbortSignal) => Promise<void> | void,
  ): void {
    server.post<Named & { Body: Body }>(
      `/v1/instances/:name/${name}`,
      { schema: describe({ summary, tags, body, response: { 200: answers.status } }) },
      async (request, reply: FastifyReply): Promise<InstanceStatus> => {
        const instance = supervisor.get(request.params.name);
        await action(instance, (request.body ?? {}) as Body, untilGone(reply, context));
        return instance.status;
      },
    );
  }

  verb('start', 'Start it; answers once its workload was executed', requests.empty, (instance, _body, signal) =>
    instance.start(signal),
  );
  verb<{ graceMs?: number }>(
    'stop',
    'SIGTERM, and after the grace the kernel is killed',
    requests.stop,
    (instance, body) => instance.stop(body.graceMs),
  );
  verb<{ signal?: number }>(
    'kill',
    'Kill the kernel, or send a signal to the workload',
    requests.kill,
    (instance, { signal = 9 }) => (signal === 9 ? instance.kill() : instance.signal(signal)),
  );
  verb('pause', 'Stop its time', requests.empty, (instance) => instance.pause());
  verb('resume', 'Let its time go on', requests.empty, (instance) => instance.resume());
  verb<{ graceMs?: number }>('restart', 'Stop and start it', requests.stop, async (instance, body, signal) => {
    await instance.stop(body.graceMs);
    await instance.start(signal);
  });

  server.get<Named>(
    '/v1/instances/:name/wait',
    {
      schema: describe({
        summary: 'Answers once it has ended and no restart is due',
        tags,
        response: { 200: answers.status },
      }),
    },
    async (request, reply) => {
      const instance = supervisor.get(request.params.name);
      await instance.ended(untilGone(reply, context));
      return instance.status;
    },
  );
}
