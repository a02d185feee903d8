export type { Problem } from '../core/yaml-reader.ts';
export { OPTIONS, stackJsonSchema } from './options.ts';
export { type ParsedStack, parseStack, problemsError } from './parse.ts';
export * from './plan.ts';
export type { Present, SectionPlans } from './sections.ts';
export type * from './stack.ts';
export type { StackStep } from './steps.ts';
