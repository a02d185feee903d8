export { checkName, generateName } from './name.ts';
export { decideRestart, GOOD_RUN_MS } from './restart.ts';
export * from './schema.ts';
export type * from './spec.ts';
export { closest, type Schema, validate } from './validate.ts';
