import type { ErrorBody } from '../sys/errors.ts';

/** The lines of a long answer (pull, import, prewarm). */
export type ProgressLine<Done> = { progress: string } | { done: Done } | { error: ErrorBody };
