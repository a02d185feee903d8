import type { ErrorBody } from '../sys/errors.ts';

/** The lines that a `long` route answers. */
export type ProgressLine<Done> = { progress: string } | { done: Done } | { error: ErrorBody };
