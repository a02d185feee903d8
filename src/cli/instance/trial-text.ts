/** What `pk run --dry-run` says. Pure. */
import type { InstanceSpec, InstanceTrial } from '../../instance/spec.ts';
import { portsText } from '../../network/published-port.ts';
import { formatCpuList } from '../../sys/cpu-list.ts';
import { formatBytes } from '../../sys/units.ts';

/** `name`: as asked for; one that is made up is another the next time. */
export function trialText({ spec, placement }: InstanceTrial, name: string | undefined): string {
  const rows: [string, string][] = [
    ['would run', spec.command.map(quoted).join(' ')],
    ['name', name ?? '(made up)'],
    ['driver', spec.driverReason.startsWith(spec.driver) ? spec.driverReason : `${spec.driver}: ${spec.driverReason}`],
    ['image', `${spec.image}${spec.append === null ? '' : `, with ${spec.append}`}`],
    ['machine', `${spec.cpus} CPU${spec.cpus === 1 ? '' : 's'}, ${formatBytes(spec.memoryBytes)}`],
    ['root', spec.root === 'host' ? "this machine's files" : spec.root],
    ...spec.volumes.map(({ source, target, readOnly }): [string, string] => [
      'volume',
      `${source} at ${target}${readOnly ? ', read-only' : ''}`,
    ]),
    ['network', networkText(spec)],
    ['user', spec.user],
    ['restart', spec.restart],
    ...(placement === null ? [] : [placedAt(placement)]),
    ...(placement?.reasons ?? []).map((reason): [string, string] => ['', reason]),
  ];
  return rows.map(([what, text]) => `${what.padEnd(11)}${text}\n`).join('');
}

function placedAt({ partition, vcpuCpus }: NonNullable<InstanceTrial['placement']>): [string, string] {
  const memory = partition.memory.map(({ node, bytes }) => `${formatBytes(bytes)} on node ${node}`);
  return ['placement', [`CPUs ${formatCpuList([...new Set(vcpuCpus)].sort((a, b) => a - b))}`, ...memory].join(', ')];
}

function networkText({ network, publish }: InstanceSpec): string {
  return publish.length === 0 ? network : `${network}, published: ${portsText(publish)}`;
}

const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
