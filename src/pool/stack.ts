/** The pool of a stack file. */
export { readPool } from './parse-pool.ts';
export { poolOptions } from './stack-options.ts';
export { type Assignment, assignPool, type PoolStep } from './steps.ts';
