/** What clients and the daemon say to each other on the streams of a process. */
import type { ErrorBody } from '../sys/errors.ts';

/** Server to client on a stream, as JSON text. After `exited` or `error` the server closes with 1000. */
export type StreamNotice =
  | { phase: string }
  /** `isElsewhere`: it began in /, because it could not enter a directory that was only wished for. */
  | { started: { pid: number; isElsewhere: boolean } }
  | { exited: StreamExit }
  | { error: ErrorBody };

export interface StreamExit {
  reason: string;
  /** What `pk run` and `pk exec` end with. */
  exitCode: number;
  message: string;
}
