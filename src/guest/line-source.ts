/** Something with frames to send when the line has room, made only then: so that the newest state replaces older ones. */
export interface LineSource {
  /** The next frame of at most `room` bytes, in pieces if it likes, or undefined when there is nothing to send for now. */
  nextFrame(room: number): Buffer | readonly Buffer[] | undefined;
}
