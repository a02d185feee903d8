/** An instance as templates of `--format` see it: by docker's names, and a few of ours. Pure. */
import type { Health } from '../../health/contract.ts';
import type { InstanceStatus, PublishedPort } from '../../instance/spec.ts';
import { portsText } from '../../network/published-port.ts';
import { formatBytes } from '../../sys/units.ts';
import { age } from '../kit/table.ts';

type Fields = Readonly<Record<string, unknown>>;

/** With its health, where that was asked for. */
type Seen = InstanceStatus & { health?: Health };

/** Of `pk ps`. `nowMs`: the time ages are counted to. */
export function listFields(status: Seen, whole: boolean, nowMs = Date.now()): Fields {
  const { id, spec, state, createdAt } = status;
  return {
    ID: whole ? id : id.slice(0, 12),
    Name: spec.name,
    Names: spec.name,
    Image: spec.image,
    Command: JSON.stringify(commandText(spec.command, whole)),
    CreatedAt: createdAt,
    RunningFor: `${age(createdAt, nowMs)} ago`,
    Status: statusText(status, nowMs),
    State: state,
    Health: status.health ?? '',
    Ports: portsText(spec.publish),
    Labels: Object.entries(spec.labels)
      .map(([name, text]) => `${name}=${text}`)
      .join(),
    Label: (name: unknown) => (Object.hasOwn(spec.labels, String(name)) ? spec.labels[String(name)] : ''),
    Mounts: spec.volumes.map(({ target }) => target).join(),
    Networks: spec.network,
    Address: status.address ?? '',
    Driver: spec.driver,
    Kernel: status.kernelRelease ?? '',
    CPUs: spec.cpus,
    Memory: formatBytes(spec.memoryBytes),
    PID: status.pid ?? 0,
    ExitCode: status.exit?.exitCode ?? 0,
    Restarts: status.restarts,
    Tenant: spec.tenant ?? '',
    Stack: spec.stack ?? '',
  };
}

/** By what they lead to, as docker has them: `{"80/tcp": [{HostIp, HostPort}]}`. */
function portsOf(published: readonly PublishedPort[]): Record<string, { HostIp: string; HostPort: string }[]> {
  const all: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { hostAddress, hostPort, guestPort, protocol } of published) {
    const there = `${guestPort}/${protocol}`;
    all[there] ??= [];
    all[there].push({ HostIp: hostAddress, HostPort: String(hostPort) });
  }
  return all;
}

/** Of `pk inspect`: what scripts ask docker for most. */
export function inspectFields(status: InstanceStatus): Fields {
  const { spec, state, exit, startedAt } = status;
  return {
    Id: status.id,
    Name: spec.name,
    Created: status.createdAt,
    Image: spec.image,
    Path: spec.command[0],
    Args: spec.command.slice(1),
    RestartCount: status.restarts,
    State: {
      Status: state,
      Running: state === 'running' || state === 'paused',
      Paused: state === 'paused',
      Restarting: state === 'backoff',
      Pid: status.pid ?? 0,
      ExitCode: exit?.exitCode ?? 0,
      Error: exit?.message ?? '',
      StartedAt: startedAt ?? '',
      FinishedAt: exit?.at ?? '',
    },
    Config: {
      Hostname: spec.hostname,
      User: spec.user,
      Tty: spec.tty,
      Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
      Cmd: spec.command,
      WorkingDir: spec.cwd,
      Labels: spec.labels,
    },
    HostConfig: {
      Memory: spec.memoryBytes,
      NanoCpus: spec.cpus * 1e9,
      NetworkMode: spec.network,
      RestartPolicy: { Name: spec.restart.split(':')[0], MaximumRetryCount: Number(spec.restart.split(':')[1] ?? 0) },
    },
    NetworkSettings: { IPAddress: status.address ?? '', Ports: portsOf(spec.publish) },
    Mounts: spec.volumes.map(({ source, target, readOnly }) => ({
      Source: source,
      Destination: target,
      RW: !readOnly,
    })),
  };
}

/** In docker's words, which scripts look for. */
export function statusText(seen: Seen, nowMs: number): string {
  const { state, exit, startedAt, createdAt, spec, health, takingOver } = seen;
  const up = `Up ${age(startedAt ?? createdAt, nowMs)}`;
  switch (state) {
    case 'running':
      if (takingOver) return up + healthSuffix(seen);
      if (spec.healthCommand !== null && health === 'healthy') return `${up} (healthy)`;
      if (spec.healthCommand !== null && health === 'unknown') return `${up} (health: starting)`;
      return up + healthSuffix(seen);
    case 'paused':
      return `${up} (Paused)`;
    case 'exited':
      return exit === null ? 'Exited' : `Exited (${exit.exitCode}) ${age(exit.at, nowMs)} ago`;
    case 'backoff':
      return exit === null ? 'Restarting' : `Restarting (${exit.exitCode}) ${age(exit.at, nowMs)} ago`;
    default:
      return state[0]!.toUpperCase() + state.slice(1);
  }
}

/** Of one that runs, and is not well, or does not answer the daemon yet. */
export function healthSuffix({ state, takingOver, health }: Pick<Seen, 'state' | 'takingOver' | 'health'>): string {
  if (takingOver) return ' (not taken over yet)';
  return state !== 'running' || health === undefined || health === 'unknown' || health === 'healthy'
    ? ''
    : ` (${health})`;
}

export function commandText(command: readonly string[], whole: boolean): string {
  const text = command.join(' ').replace(/[^\x20-\x7e\u00a0-\uffff]/g, '?');
  return !whole && text.length > 40 ? `${text.slice(0, 39)}…` : text;
}
