/** How plans of a stack's sections read: a row for each section, without which it does not compile. */
import type { Plan, SectionPlans } from '../../stack/contract.ts';
import { formatBytes } from '../../sys/units.ts';

type Action = SectionPlans[keyof SectionPlans][number]['action'];

interface SectionText<One> {
  /** One of its things. */
  noun: string;
  /** The action whose reasons are shown. */
  explained: Action;
  /** Instead of the words that kernels have. */
  words?: Partial<Record<Action, string>>;
  /** What it will be; null when it goes. */
  about(plan: One): string | null;
}

const TEXTS: { readonly [K in keyof SectionPlans]: SectionText<SectionPlans[K][number]> } = {
  channels: {
    noun: 'channel',
    explained: 'replace',
    words: { replace: 'make anew' },
    about: ({ channel }) => channel && `from ${channel.from} to ${channel.to}, ${formatBytes(channel.sizeBytes)}`,
  },
  services: {
    noun: 'service',
    explained: 'change',
    about: ({ service }) =>
      service && `from port ${service.port} to ${service.targets.map(({ instance }) => instance).join(', ')}`,
  },
};

/** The plans of one section with their text. */
export interface ShownSection extends SectionText<ShownPlan> {
  plans: readonly ShownPlan[];
}
export interface ShownPlan {
  name: string;
  action: Action;
  why: readonly string[];
}

/** All sections of a plan, in the order in which they are shown. */
export const sectionsOf = (plan: Pick<Plan, keyof SectionPlans>): ShownSection[] =>
  Object.entries(TEXTS).map(([key, text]) => ({
    ...(text as unknown as SectionText<ShownPlan>),
    plans: plan[key as keyof SectionPlans],
  }));
