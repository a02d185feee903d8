/** Rules about the line between the pool and the host kernel. */
import { cpusText, formatCpuList } from '../../sys/cpu-list.ts';
import { formatBytes } from '../../sys/units.ts';
import { totalBytes } from '../memory.ts';
import type { Finding, Rule } from './rule.ts';
import { count, nodesText } from './text.ts';
import { onlineSiblings } from './view.ts';

/** CPU 0 boots the machine, cannot be taken offline on x86, and is where work goes that nobody sends elsewhere. */
export const bootCpu: Rule = (view) =>
  view.pool?.cpus.includes(0)
    ? [
        {
          severity: 'warning',
          subject: 'pool',
          message: 'CPU 0 is in the pool, but the host kernel does work there that cannot be moved',
          remedy: 'Keep CPU 0 and its sibling threads for the host: pk pool shrink --cpus 0',
        },
      ]
    : [];

/** CPUs of the pool for each of which the host wants one of its own. A rule of thumb; see the page. */
const POOL_CPUS_PER_HOUSEKEEPING_CPU = 32;

/** The host keeps no whole core, or less than one CPU per 32 of the pool, or nothing on a node of the pool. */
export const housekeeping: Rule = (view) => {
  if (view.pool === null) return [];
  const kept = new Set(view.kept);
  const pool = view.pool.cpus.length;
  const whole = view.kept.some((id) => onlineSiblings(view, id).every((sibling) => kept.has(sibling.id)));
  const online = view.topology.cpus.filter((cpu) => cpu.online);
  // A machine of one core can only be split within it.
  const core = whole || new Set(online.map((cpu) => cpu.core)).size === 1 ? 1 : kept.size + 1;
  const needed = Math.max(core, Math.ceil(pool / POOL_CPUS_PER_HOUSEKEEPING_CPU));
  if (kept.size < needed) {
    const short =
      kept.size === 0 ? 'no CPU' : whole ? `only ${cpusText(view.kept)}` : `no whole core (${cpusText(view.kept)})`;
    return [
      {
        severity: 'warning',
        subject: 'pool',
        message: `the host keeps ${short} to serve ${count(pool, 'CPU')} of the pool; it wants ${needed}`,
        remedy: `Give the host ${needed - kept.size} more: pk pool shrink --cpus LIST`,
      },
    ];
  }
  const served = new Set(view.kept.map((id) => view.cpu.get(id)?.node));
  const nodes = new Set(view.pool.cpus.flatMap((id) => view.cpu.get(id)?.node ?? []));
  const bare = [...nodes].filter((id) => !served.has(id));
  if (bare.length === 0) return [];
  return [
    {
      severity: 'info',
      subject: 'pool',
      message: `the host keeps no CPU on ${nodesText(bare)}: what it does for instances there works from another node`,
      remedy: 'Leave the host one core on each node of the pool.',
    },
  ];
};

/** isolcpus= outside the pool is lost to everybody; a pool that is isolated in part behaves in two ways. */
export const isolated: Rule = (view) => {
  if (view.pool === null) return [];
  const marked = view.topology.cpus.filter((cpu) => cpu.online && cpu.isolated).map((cpu) => cpu.id);
  if (marked.length === 0) return [];
  const pool = new Set(view.pool.cpus);
  const findings: Finding[] = [];
  const lost = marked.filter((id) => !pool.has(id));
  if (lost.length > 0) {
    findings.push({
      severity: 'warning',
      subject: 'host',
      message: `${cpusText(lost)} ${lost.length === 1 ? 'is' : 'are'} isolated at boot (isolcpus=) and not in the pool: nothing runs there`,
      remedy: `Give them to the pool (pk pool grow --cpus ${formatCpuList(lost)}) or take them out of isolcpus=.`,
    });
  }
  const exposed = view.pool.cpus.filter((id) => !marked.includes(id));
  if (exposed.length > 0) {
    findings.push({
      severity: 'info',
      subject: 'pool',
      message: `isolcpus= covers ${cpusText(marked)} but not ${cpusText(exposed)} of the pool`,
      remedy: 'Isolate all of the pool at boot or nothing of it; Polykernel keeps tasks away either way.',
    });
  }
  return findings;
};

/** An offline CPU runs nothing. Siblings that are off beside one that is on are SMT switched off, which is meant. */
export const offline: Rule = (view) => {
  const findings: Finding[] = [];
  const off = view.topology.cpus.filter((cpu) => !cpu.online);
  for (const { owner, cpus } of view.partitions) {
    const dead = cpus.filter((cpu) => !cpu.online).map((cpu) => cpu.id);
    if (dead.length > 0) findings.push(offlineFinding('warning', owner, `it owns ${cpusText(dead)}`, dead));
  }
  const pool = new Set(view.pool?.cpus);
  const unowned = off.map((cpu) => cpu.id).filter((id) => pool.has(id) && view.holder(id).kind !== 'owner');
  if (unowned.length > 0) findings.push(offlineFinding('warning', 'pool', `${cpusText(unowned)} of the pool`, unowned));
  const idle = off
    .filter((cpu) => !pool.has(cpu.id) && !view.cores.get(cpu.core)!.some((each) => each.online))
    .map((cpu) => cpu.id);
  if (idle.length > 0) findings.push(offlineFinding('info', 'host', `whole cores (${cpusText(idle)})`, idle));
  return findings;
};

function offlineFinding(
  severity: Finding['severity'],
  subject: string,
  what: string,
  cpus: readonly number[],
): Finding {
  return {
    severity,
    subject,
    message: `${what}: offline, nothing runs there`,
    remedy: `Bring ${cpus.length === 1 ? 'it' : 'them'} back: echo 1 > /sys/devices/system/cpu/cpu${cpus[0]}/online`,
  };
}

/** What Polykernel's own process may use does not cover the pool. */
export const cpusetLimits: Rule = ({ topology: { limits }, pool }) => {
  if (pool === null) return [];
  const outside: string[] = [];
  if (limits.cpus !== null) {
    const allowed = new Set(limits.cpus);
    const cpus = pool.cpus.filter((cpu) => !allowed.has(cpu));
    if (cpus.length > 0) outside.push(`${cpusText(cpus)} (allowed: ${formatCpuList(limits.cpus)})`);
  }
  if (limits.nodes !== null) {
    const allowed = new Set(limits.nodes);
    const nodes = pool.memory.map(({ node }) => node).filter((node) => !allowed.has(node));
    if (nodes.length > 0) outside.push(`memory of ${nodesText(nodes)} (allowed: ${limits.nodes.join(', ')})`);
  }
  const bytes = totalBytes(pool.memory);
  if (limits.memoryBytes !== null && bytes > limits.memoryBytes) {
    outside.push(`${formatBytes(bytes)} of memory (allowed: ${formatBytes(limits.memoryBytes)})`);
  }
  if (outside.length === 0) return [];
  return [
    {
      severity: 'warning',
      subject: 'pool',
      message: `the pool has what the daemon's control group or affinity does not allow: ${outside.join('; ')}`,
      remedy:
        'Start the daemon outside that control group (a service or container with a larger one), or shrink the pool.',
    },
  ];
};
