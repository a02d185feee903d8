/** What clients and the daemon say to each other on the streams of a process. */
import type { ErrorBody } from '../sys/errors.ts';

/** Server to client on a stream, as JSON text. After `exited` or `error` the server closes with 1000. */
export type StreamNotice =
  | { phase: string }
  /** `isElsewhere`: it began in /, because it could not enter a directory that was only wished for. */
  | { started: { pid: number; isElsewhere: boolean } }
  /** So many bytes of the input on this stream are with the guest: nobody needs them any more. */
  | { taken: number }
  /** This daemon ends and has sent all: the next one goes on with the session, if it is asked within a while, from that byte of input on. */
  | { moved: { session: number; taken: number } }
  | { exited: StreamExit }
  | { error: ErrorBody };

export interface StreamExit {
  reason: string;
  /** What `pk run` and `pk exec` end with. */
  exitCode: number;
  message: string;
}
