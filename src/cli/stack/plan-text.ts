/** Plans as people read them. */
import type { Plan, SectionPlans } from '../../stack/contract.ts';
import { cpusText } from '../../sys/cpu-list.ts';
import { formatBytes } from '../../sys/units.ts';
import { type Paint, painter } from '../kit/paint.ts';
import { sectionsOf } from './section-text.ts';

type KernelPlan = Plan['kernels'][number];

const MARKS: Record<KernelPlan['action'], { mark: string; paint: Paint; word: string }> = {
  create: { mark: '+', paint: 'green', word: 'create' },
  change: { mark: '~', paint: 'yellow', word: 'change live' },
  replace: { mark: '~', paint: 'yellow', word: 'change with a restart' },
  start: { mark: '!', paint: 'yellow', word: 'start' },
  resume: { mark: '!', paint: 'yellow', word: 'resume' },
  repin: { mark: '!', paint: 'yellow', word: 'put back on its CPUs' },
  remove: { mark: '-', paint: 'red', word: 'remove' },
  keep: { mark: ' ', paint: 'dim', word: 'keep' },
};

/** The whole plan: what changes, where everything goes and why, what is refused, advice, steps. */
export function planText(plan: Plan, color: boolean): string {
  const paint = painter(color);
  const lines: string[] = [...changeLines(plan, color, placementLines)];
  for (const kernel of plan.kernels) {
    if (kernel.action === 'keep') lines.push(`  ${kernel.name}: ${paint('dim', 'keep')}`, ...placementLines(kernel));
  }
  for (const { noun, plans } of sectionsOf(plan))
    for (const { name, action } of plans)
      if (action === 'keep') lines.push(`  ${noun} ${name}: ${paint('dim', 'keep')}`);
  if (plan.refused.length > 0) {
    lines.push('', 'Refused:');
    for (const { name, message, hint } of plan.refused) {
      lines.push(`${paint('red', '✗')} ${name}: ${message}`, ...(hint === '' ? [] : [`    ${hint}`]));
    }
  }
  if (plan.advice.length > 0) {
    lines.push('', 'Advice:');
    for (const { id, severity, subject, message, remedy } of plan.advice) {
      lines.push(`  ${paint(severity === 'warning' ? 'yellow' : 'dim', id)} ${subject}: ${message}`, `      ${remedy}`);
    }
  }
  if (plan.steps.length > 0) {
    lines.push('', 'Steps:');
    for (const [index, { text, undo }] of plan.steps.entries()) {
      lines.push(`${String(index + 1).padStart(3)}. ${text}${paint('dim', `   undo: ${undo}`)}`);
    }
  }
  return `${[...lines, '', summaryLine(plan)].join('\n').replace(/^\n+/, '')}\n`;
}

/** Only what differs; empty when nothing does. */
export function diffText(plan: Plan, color: boolean): string {
  return changeLines(plan, color, newPlace)
    .map((line) => `${line}\n`)
    .join('');
}

function changeLines(plan: Plan, color: boolean, place: (kernel: KernelPlan) => string[]): string[] {
  const paint = painter(color);
  const lines: string[] = [];
  const { change } = plan.pool;
  if (change !== null) {
    const what =
      change.before === null ? { mark: '+', color: 'green' as const } : { mark: '~', color: 'yellow' as const };
    lines.push(`${paint(what.color, what.mark)} pool: ${change.text}`);
  }
  for (const kernel of plan.kernels) {
    if (kernel.action === 'keep') continue;
    const { mark, paint: hue, word } = MARKS[kernel.action];
    const drift = mark === '!' ? ` (${kernel.why.join('; ')})` : '';
    lines.push(`${paint(hue, mark)} ${kernel.name}: ${word}${drift}`);
    for (const { path, before, after, live } of kernel.changes) {
      lines.push(`      ${path}: ${value(before)} → ${value(after)}${live ? '' : paint('dim', '  (needs a restart)')}`);
    }
    if (kernel.changes.length === 0 && (kernel.action === 'change' || kernel.action === 'replace')) {
      lines.push(...kernel.why.map((text) => `      ${text}`));
    }
    lines.push(...place(kernel));
  }
  for (const { noun, explained, words, about, plans } of sectionsOf(plan)) {
    for (const each of plans) {
      const { name, action, why } = each;
      if (action === 'keep') continue;
      const { mark, paint: hue, word } = MARKS[action];
      const text = about(each);
      lines.push(`${paint(hue, mark)} ${noun} ${name}: ${words?.[action] ?? word}${text === null ? '' : ` ${text}`}`);
      if (action === explained) lines.push(...why.map((reason) => `      ${reason}`));
    }
  }
  return lines;
}

/** Where a new kernel goes, without the reasons. */
const newPlace = (kernel: KernelPlan): string[] =>
  kernel.action === 'create' ? placementLines(kernel).slice(0, 1) : [];

function placementLines({ placement }: KernelPlan): string[] {
  if (placement === null) return [];
  const { partition, vcpuCpus, reasons } = placement;
  const { shared, memory, devices } = partition;
  const cpus =
    shared === null
      ? cpusText(partition.cpus)
      : `${shared.milliCpus / 1000} of ${cpusText(shared.cpus)}, weight ${shared.weight}`;
  const bytes = memory.map(({ node, bytes }) => `${formatBytes(bytes)} on node ${node}`).join(', ');
  const idle = shared === null && vcpuCpus.length < partition.cpus.length ? ` (vCPUs on ${vcpuCpus.join(',')})` : '';
  return [
    `      ${[cpus + idle, bytes, ...devices].filter((part) => part !== '').join('; ')}`,
    ...reasons.map((reason) => `        because ${reason}`),
  ];
}

/** `3 kernels, 1 channel, and 1 service`: what there is once the plan is carried out. */
export function described(plan: Pick<Plan, 'kernels' | keyof SectionPlans>): string {
  const kernels = { noun: 'kernel', plans: plan.kernels };
  const parts = [kernels, ...sectionsOf(plan)].flatMap(({ noun, plans }) => {
    const count = plans.filter(({ action }) => action !== 'remove').length;
    return count === 0 && noun !== 'kernel' ? [] : [counted(count, noun)];
  });
  return new Intl.ListFormat('en').format(parts);
}

function summaryLine(plan: Plan): string {
  const { kernels, pool, refused } = plan;
  if (refused.length > 0) return `Refused: ${refused.length}. Nothing would be done.`;
  const counts = new Map<string, number>();
  for (const { action } of kernels) counts.set(action, (counts.get(action) ?? 0) + 1);
  const keep = counts.get('keep') ?? 0;
  counts.delete('keep');
  const sections = sectionsOf(plan).flatMap(({ noun, plans }) => {
    const changed = plans.filter(({ action }) => action !== 'keep').length;
    return changed === 0 ? [] : [`${counted(changed, noun)} to change`];
  });
  if (counts.size === 0 && sections.length === 0 && pool.change === null)
    return `Nothing to do: ${described(plan)} as described.`;
  const parts = [...[...counts].map(([action, count]) => `${count} to ${action}`), ...sections];
  return [...(pool.change === null ? [] : ['pool to change']), ...parts, `${keep} to keep`].join(', ') + '.';
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

function value(shown: unknown): string {
  if (shown === null) return '(none)';
  return typeof shown === 'string' ? shown : JSON.stringify(shown);
}
