export type { FieldChange } from './definition.ts';
export { OPTIONS, type Option, stackJsonSchema } from './options.ts';
export { type ParsedStack, parseStack, problemsError } from './parse.ts';
export * from './plan.ts';
export type { ChannelAction, ChannelPlan } from './plan-channels.ts';
export type * from './stack.ts';
export type { StackStep } from './steps.ts';
