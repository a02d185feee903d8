/** What is done with the parts of a stack file beside kernels and pool, whichever there are. */
import { listOf } from '../core/schema.ts';
import type { SectionRefusal, StackSection } from '../core/stack-section.ts';
import type { AnyStep } from '../core/step.ts';
import type { Schema } from '../core/validate.ts';
import type { Place, YamlReader } from '../core/yaml-reader.ts';
import type { KernelDefinition } from '../instance/contract.ts';
import { sections } from './section-list.ts';

type Sections = typeof sections;
type Key = keyof Sections;
type Of<K extends Key, Part extends 'wanted' | 'present' | 'plan' | 'step'> =
  Sections[K] extends StackSection<never, infer Wanted, infer Present, infer Plan, infer S>
    ? { wanted: Wanted; present: Present; plan: Plan; step: S }[Part]
    : never;

/** What the file says, by key; in its order, with unique names. */
export type Wanted = { readonly [K in Key]: readonly Of<K, 'wanted'>[] };
/** What there is, of all stacks and of none. */
export type Present = { readonly [K in Key]: readonly Of<K, 'present'>[] };
export type SectionPlans = { [K in Key]: Of<K, 'plan'>[] };
export type SectionStep = { [K in Key]: Of<K, 'step'> }[Key];

/** Every section goes with its own things alone: that is what is not told to the compiler. */
type AnySection = StackSection<KernelDefinition, unknown, unknown, unknown, AnyStep>;
type Lists = Readonly<Record<string, readonly unknown[]>>;
const all = Object.entries(sections) as unknown as [Key, AnySection][];
const each = (make: (key: Key, section: AnySection) => unknown[]): Record<string, unknown[]> =>
  Object.fromEntries(all.map(([key, section]) => [key, make(key, section)]));

/** How the answer tells of their plans. */
export const sectionSchemas = Object.fromEntries(all.map(([key, { planned }]) => [key, listOf(planned)])) as {
  [K in Key]: Schema;
};

/** There is nothing of any. */
export const nothingPresent = each(() => []) as unknown as Present;

export function readSections(
  reader: YamlReader,
  entries: ReadonlyMap<string, Place>,
  kernels: readonly KernelDefinition[],
): Wanted {
  return each((key, section) => {
    const place = entries.get(key);
    return place === undefined ? [] : section.read(reader, place, kernels);
  }) as unknown as Wanted;
}

export function checkSections(reader: YamlReader, wanted: Wanted, kernels: readonly KernelDefinition[]): void {
  for (const [key, section] of all) section.check?.(reader, (wanted as Lists)[key]!, kernels);
}

/** Without `wanted` everything of the stack goes. */
export function planSections(
  question: { stack: string; wanted?: Wanted; present: Present; gone: string },
  refused: SectionRefusal[],
): SectionPlans {
  const { stack, gone, present } = question;
  return each((key, section) => {
    const wanted = (question.wanted as Lists | undefined)?.[key] ?? [];
    return section.plan({ stack, gone, wanted, present: (present as Lists)[key]! }, refused);
  }) as unknown as SectionPlans;
}

export const sectionSteps = (plans: SectionPlans, present: Present, stack: string): SectionStep[] =>
  all.flatMap(([key, section]) =>
    section.steps((plans as Lists)[key]!, (present as Lists)[key]!, stack),
  ) as SectionStep[];
