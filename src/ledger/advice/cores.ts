/** Rules about which CPUs are whose. */
import { cpusText, formatCpuList } from '../../sys/cpu-list.ts';
import type { Cpu } from '../../topology/index.ts';
import type { Finding, Rule } from './rule.ts';
import { count, few } from './text.ts';
import { holderText, onlineSiblings } from './view.ts';

/** SMT siblings share caches, execution units and their timing: CPU c of core k is with o and a sibling of c is not. */
export const smtSharing: Rule = (view, { requests }) => {
  const findings: Finding[] = [];
  for (const { owner, partition } of view.partitions) {
    const strangers = partition.cpus.flatMap((id) =>
      onlineSiblings(view, id).flatMap((sibling) => {
        const holder = view.holder(sibling.id);
        const strange =
          holder.kind === 'owner' ? holder.name !== owner : holder.kind !== 'free' && holder.kind !== 'none';
        return strange ? [`CPU ${id} with CPU ${sibling.id} (${holderText(holder)})`] : [];
      }),
    );
    if (strangers.length === 0) continue;
    const cpus = requests?.[owner]?.cpus;
    // Who wrote `smt: any` knows; to everybody else it is a surprise.
    const meant = cpus?.kind === 'count' && cpus.smt === 'any';
    findings.push({
      severity: meant ? 'info' : 'warning',
      subject: owner,
      message: `${count(strangers.length, 'thread')} of its cores ${strangers.length === 1 ? 'belongs' : 'belong'} to others: ${few(strangers)}`,
      remedy: 'Ask for whole cores (`smt: whole-core`, the default), or list both threads of each core.',
    });
  }
  const split = (view.pool?.cpus ?? []).filter(
    (id) =>
      ['free', 'shared'].includes(view.holder(id).kind) &&
      onlineSiblings(view, id).some((sibling) => view.holder(sibling.id).kind === 'host'),
  );
  if (split.length > 0) {
    const siblings = split
      .flatMap((id) => onlineSiblings(view, id))
      .filter((cpu) => view.holder(cpu.id).kind === 'host');
    findings.push({
      severity: 'info',
      subject: 'pool',
      message: `${cpusText(split)} of the pool ${split.length === 1 ? 'is the other thread' : 'are the other threads'} of cores the host kernel keeps (${cpusText(siblings.map((cpu) => cpu.id))})`,
      remedy: 'Move the line between host and pool to a core: give the pool both threads of each core or none.',
    });
  }
  return findings;
};

/** An odd number of CPUs on whole cores: an online thread of the last core is in the pool and with nobody. */
export const oddCores: Rule = (view, { requests }) =>
  view.partitions.flatMap(({ owner, partition }) => {
    const cpus = requests?.[owner]?.cpus;
    if (cpus?.kind !== 'count' || cpus.smt !== 'whole-core') return [];
    const idle = [...new Set(partition.cpus.flatMap((id) => onlineSiblings(view, id)))]
      .map((sibling) => sibling.id)
      .filter((id) => view.holder(id).kind === 'free');
    if (idle.length === 0) return [];
    return [
      {
        severity: 'info',
        subject: owner,
        message: `its ${count(partition.cpus.length, 'CPU')} do not fill whole cores: ${cpusText(idle)} ${idle.length === 1 ? 'stays' : 'stay'} idle`,
        remedy: `Ask for ${partition.cpus.length + idle.length} CPUs, or fewer, or allow others on the core with \`smt: any\`.`,
      },
    ];
  });

/** A kernel that takes all its CPUs for equally fast ones schedules badly on a mixture. */
export const mixedCoreTypes: Rule = (view) =>
  view.partitions.flatMap(({ owner, cpus }) => {
    const of = (type: Cpu['type']) => cpus.filter((cpu) => cpu.type === type).map((cpu) => cpu.id);
    const [performance, efficiency] = [of('performance'), of('efficiency')];
    if (performance.length === 0 || efficiency.length === 0) return [];
    return [
      {
        severity: 'warning',
        subject: owner,
        message: `it has performance cores (${cpusText(performance)}) and efficiency cores (${cpusText(efficiency)}); its kernel cannot tell them apart`,
        remedy: `Give it CPUs of one type, for example cpus: "${formatCpuList(performance)}".`,
      },
    ];
  });
