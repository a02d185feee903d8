import { LINE_WINDOW, MAX_TO_GUEST, STDIN_CREDIT } from './protocol.ts';

/** What a guest takes at once. */
export interface LineShape {
  /** Bytes of a frame's payload. */
  payload: number;
  /** Unacknowledged bytes on the line. */
  window: number;
  /** Bytes of stdin of a session that its process has not read. */
  stdin: number;
  /** Slots of shared memory in each direction. */
  slots: number;
  /** Bytes of the payload of a bare frame; 0 = it takes none. */
  bare: number;
}

/** Of agents that say nothing of it. */
export const NARROW: LineShape = { payload: MAX_TO_GUEST, window: LINE_WINDOW, stdin: STDIN_CREDIT, slots: 0, bare: 0 };
