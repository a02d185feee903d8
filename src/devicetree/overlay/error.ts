import { PolykernelError } from '../../sys/errors.ts';

/** What is wrong at `place`, a path or entry of an overlay. */
export const overlayError = (place: string, problem: string, hint?: string): PolykernelError =>
  new PolykernelError('invalid', `overlay, ${place.slice(0, 200)}: ${problem}`, { field: place.slice(0, 200), hint });
