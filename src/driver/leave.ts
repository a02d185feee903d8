/** Letting go of a kernel that is being taken over, for drivers. */
import type { Leave } from './driver.ts';

/** How long an agent may take to answer. */
const ATTACH_DEADLINE_MS = 10_000;

/** How long a guest is waited for. */
export const attachSignal = (leave: Leave | undefined): AbortSignal =>
  AbortSignal.any([AbortSignal.timeout(ATTACH_DEADLINE_MS), ...(leave === undefined ? [] : [leave.signal])]);

/** Whether it was let go of, and is to be paused again first. */
export const isLeftPaused = (leave: Leave | undefined): boolean => leave?.signal.aborted === true && leave.paused();
