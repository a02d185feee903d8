/** What clients and the daemon say to each other on the streams of a process. */
import type { ErrorBody } from '../sys/errors.ts';

export interface ExecRequest {
  command: readonly string[];
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  user?: string;
  tty?: boolean;
  rows?: number;
  columns?: number;
}

/** Client to server on a stream, as JSON text. */
export type StreamCommand = { signal: number } | { resize: { rows: number; columns: number } };

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
