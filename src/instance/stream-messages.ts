/** What clients and the daemon say to each other on the streams of a process. */
import type { Counts } from '../guest/index.ts';
import type { ErrorBody } from '../sys/errors.ts';

export type { Counts };

/** Server to client on a stream, as JSON text. After `exited` or `error` the server closes with 1000. */
export type StreamNotice =
  | { phase: string }
  /** `isElsewhere`: it began in /, because it could not enter a directory that was only wished for. */
  | { started: { pid: number; isElsewhere: boolean; session?: number | undefined } }
  /** First, to a client that goes on with a session: what its guest has sent and got until this daemon came; null where that is not known. */
  | { found: Counts | null }
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
