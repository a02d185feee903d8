/** What an agent is asked to run, and how that is said on its line. */
import type { Pair } from './protocol.ts';

export interface ExecRequest {
  /** argv; the first is searched in the PATH of `env`, inside the guest. */
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  /** Where `cwd` cannot be entered, / will do. */
  cwdOptional?: boolean;
  /** USER[:GROUP], numbers or names of the guest's own; without GROUP those that the guest's files say. */
  user: string;
  /** A pseudo-terminal of this size in characters; stdout then carries all output. */
  tty?: { rows: number; columns: number } | undefined;
  /** What it writes to standard error comes on stdout too, in the order in which it was written; an agent from before this leaves both apart. */
  merged?: boolean | undefined;
  /** It goes on by itself, without standard streams: what is told is its start, and nothing of its end. */
  detached?: boolean | undefined;
}

/** As an EXEC says it. */
export function execPairs(request: ExecRequest): Pair[] {
  const pairs: Pair[] = [['cwd', request.cwd], ...idsForFormerAgents(request.user), ['user', request.user]];
  if (request.cwdOptional) pairs.push(['cwd-optional', '1']);
  if (request.tty !== undefined) {
    pairs.push(['tty', '1'], ['rows', String(request.tty.rows)], ['cols', String(request.tty.columns)]);
  }
  if (request.merged) pairs.push(['merged', '1']);
  if (request.detached) pairs.push(['detached', '1']);
  for (const argument of request.command) pairs.push(['arg', argument]);
  for (const [key, value] of Object.entries(request.env)) pairs.push(['env', `${key}=${value}`]);
  return pairs;
}

/** Those of Polykernel 0.1 know no names: with one, their command is nobody rather than root. */
function idsForFormerAgents(user: string): Pair[] {
  const [, uid = '65534', gid = '0'] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(user) ?? [];
  return [
    ['uid', uid],
    ['gid', uid === '65534' ? uid : gid],
  ];
}
