/** Rules about how much is asked of the CPUs and by whom. */
import { cpusText } from '../../sys/cpu-list.ts';
import { formatBytes } from '../../sys/units.ts';
import { promisedMilliCpus } from '../ledger.ts';
import { crowdedNodes } from './memory.ts';
import type { Finding, Rule } from './rule.ts';
import { few } from './text.ts';
import { cpusOf } from './view.ts';

/** Thousandths of a shared CPU beyond which a burst of one instance is felt by the others at once. */
const BUSY_MILLI_CPUS = 800;

/** Promised > 80 % of a shared CPU; vCPUs > CPUs of an instance; pool > 90 % of a node's memory. */
export const overcommit: Rule = (view, { instances }) => {
  const findings: Finding[] = [];
  for (const { owner, partition } of view.partitions) {
    const facts = instances[owner];
    const cpus = cpusOf(partition);
    // tcg-vcpus says it for TCG, where it is worse.
    if (facts === undefined || facts.accelerator === 'tcg' || facts.vcpus <= cpus.length) continue;
    findings.push({
      severity: 'warning',
      subject: owner,
      message: `${facts.vcpus} vCPUs take turns on ${cpusText(cpus)}: a vCPU that holds a lock may be waiting for its turn`,
      remedy: `Give it ${facts.vcpus} CPUs or ${cpus.length} vCPU${cpus.length === 1 ? '' : 's'}.`,
    });
  }
  const busy = [...promisedMilliCpus(view.partitions.map(({ partition }) => partition))]
    .filter(([, milliCpus]) => milliCpus > BUSY_MILLI_CPUS)
    .sort(([a], [b]) => a - b)
    .map(([cpu, milliCpus]) => `CPU ${cpu} to ${Math.round(milliCpus / 10)} %`);
  const crowded = crowdedNodes(view).map(
    ({ node, pool, of }) => `${formatBytes(pool)} of node ${node}'s ${formatBytes(of)}, which is more than 90 %`,
  );
  const remedies: string[] = [];
  if (busy.length > 0) remedies.push('Add CPUs to the shared class or promise less.');
  if (crowded.length > 0) remedies.push('Leave the host a tenth of each node: pk pool shrink --memory SIZE');
  if (remedies.length > 0) {
    const parts = [
      ...(busy.length > 0 ? [`shared CPUs are promised almost whole: ${few(busy)}`] : []),
      ...(crowded.length > 0 ? [`the pool has ${few(crowded)}`] : []),
    ];
    findings.push({ severity: 'warning', subject: 'pool', message: parts.join('; '), remedy: remedies.join(' ') });
  }
  return findings;
};

/** vCPUs up to which the waiting of emulated CPUs for each other is bearable. */
const TCG_VCPUS = 8;

/** vCPUs > 8, or vCPUs > CPUs: each TCG vCPU is a thread, and exclusive work stops all of them until the last has come. */
export const tcgVcpus: Rule = (view, { instances }) => {
  const cpus = new Map(view.partitions.map(({ owner, partition }) => [owner, cpusOf(partition)]));
  return Object.entries(instances).flatMap(([owner, { accelerator, vcpus }]) => {
    const owned = cpus.get(owner);
    if (accelerator !== 'tcg') return [];
    const crowded = owned !== undefined && vcpus > owned.length;
    if (!crowded && vcpus <= TCG_VCPUS) return [];
    const most = Math.min(TCG_VCPUS, owned?.length ?? TCG_VCPUS);
    return [
      {
        severity: 'warning',
        subject: owner,
        message: `${vcpus} emulated CPUs (TCG)${crowded ? ` on ${cpusText(owned)}` : ''}: they wait for each other at every exclusive step, the slowest sets the pace`,
        remedy: `Give it ${most} vCPU${most === 1 ? '' : 's'} or fewer, or run it where /dev/kvm works.`,
      },
    ];
  });
};

/** An interrupt whose affinity holds a dedicated CPU may fire there and take the CPU from its guest. */
export const interrupts: Rule = (view, { irqs = [] }) => {
  const firing = irqs.filter(({ cpus }) => cpus.length > 0);
  return view.partitions.flatMap(({ owner, partition }) => {
    const mine = new Set(partition.cpus);
    const here = firing.filter(({ cpus }) => cpus.some((cpu) => mine.has(cpu)));
    if (here.length === 0) return [];
    const cpus = [...new Set(here.flatMap((irq) => irq.cpus.filter((cpu) => mine.has(cpu))))];
    return [
      {
        severity: 'info',
        subject: owner,
        message: `${here.length} interrupt${here.length === 1 ? '' : 's'} may fire on its ${cpusText(cpus)}: ${few(here.map(({ irq, name }) => (name === '' ? `${irq}` : `${irq} ${name}`)))}`,
        remedy:
          'Applying the pool steers away those that can be; what is left is bound by its driver (fewer queues move it).',
      },
    ];
  });
};
