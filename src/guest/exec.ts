import type { Pair } from './protocol.ts';

export interface ExecRequest {
  /** argv; the first is searched in the PATH of `env`, inside the guest. */
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  uid: number;
  gid: number;
  /** A pseudo-terminal of this size in characters; stdout then carries all output. */
  tty?: { rows: number; columns: number } | undefined;
}

/** As an EXEC says it. */
export function execPairs(request: ExecRequest): Pair[] {
  const pairs: Pair[] = [
    ['cwd', request.cwd],
    ['uid', String(request.uid)],
    ['gid', String(request.gid)],
  ];
  if (request.tty !== undefined) {
    pairs.push(['tty', '1'], ['rows', String(request.tty.rows)], ['cols', String(request.tty.columns)]);
  }
  for (const argument of request.command) pairs.push(['arg', argument]);
  for (const [key, value] of Object.entries(request.env)) pairs.push(['env', `${key}=${value}`]);
  return pairs;
}
