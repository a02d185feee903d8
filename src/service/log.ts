/** What HAProxy says of requests: of each, or of one in so many. */
import type { Outcome } from './slo.ts';

/** In a configuration: what parseLine() reads. The latency is that of the request, in tcp mode of the connection's beginning. */
export const LOG_FORMAT = {
  http: 'pk http %[date] %b %s %ST %tsc %[date(0,us),sub(txn.begin)] %Ta %[var(txn.of)]',
  tcp: 'pk tcp %[date] %b %s 0 %ts - %Tc -',
} as const;

/** From so many requests a second on not each is logged. */
const SAMPLED_FROM = 1000;
/** Then so many lines a second tell enough, and cost little: HAProxy and the daemon wake for each. */
const LINES_PER_SECOND = 100;

/**
 * Of a frontend in http mode: with many requests a second one in several answers that are no failures is logged, and says of
 * how many.
 */
export const LOG_SAMPLING = [
  `http-response set-var(txn.of) fe_req_rate,div(${LINES_PER_SECOND}) if { fe_req_rate ge ${SAMPLED_FROM} } { status lt 500 }`,
  'http-response set-log-level silent if { var(txn.of) -m found } { rand,mod(txn.of) gt 0 }',
] as const;

/** A request that has ended. */
export interface LoggedRequest {
  /** Milliseconds since 1970, to the second. */
  at: number;
  service: string;
  /** `<NOSRV>` when no server could be used. */
  server: string;
  /** What became of it; undefined when that says nothing about the service, as when its client gave up. */
  outcome: Outcome | undefined;
  /** How many requests it stands for. */
  weight: number;
}

const LINE =
  /^pk (http|tcp) (\d{1,15}) (\S{1,128}) (\S{1,128}) (-?\d{1,9}) (\S{1,16}) (-?\d{1,18}|-) ([-+]?\d{1,15}) (\d{1,15}|-)\s{0,4}$/;

/** undefined for a line about something else. */
export function parseLine(line: string): LoggedRequest | undefined {
  const [, mode, seconds, service, server, status, ending, precise, coarse, of] = LINE.exec(line) ?? [];
  if (service === undefined || server === undefined) return undefined;
  const at = Number(seconds) * 1000;
  const weight = Number(of) || 1;
  const ok = mode === 'http' ? httpOutcome(Number(status), ending!) : tcpOutcome(ending!);
  if (ok === undefined) return { at, service, server, outcome: undefined, weight };
  return {
    at,
    service,
    server,
    outcome: { ok, microseconds: ok ? latency(Number(precise), Number(coarse)) : undefined },
    weight,
  };
}

/** In microseconds; what was measured in milliseconds where the precise time is missing. */
function latency(precise: number, coarse: number): number | undefined {
  const plausible = precise >= 0 && Math.abs(precise - coarse * 1000) < 60_000_000;
  if (plausible) return precise;
  return coarse >= 0 ? coarse * 1000 : undefined;
}

/** The first letter says who ended it: C and c the client, S and s the server, P a rule or a malformed request. */
function httpOutcome(status: number, ending: string): boolean | undefined {
  if (ending[0] === 'C' || ending[0] === 'c') return undefined;
  if (status >= 500 || /^[SsDKR]/.test(ending)) return false;
  if (status < 100 || ending[0] === 'P') return undefined;
  return true;
}

/** The second letter says when: D while data flowed, which a client may end as it likes. */
function tcpOutcome(ending: string): boolean | undefined {
  if (/^[Cc]/.test(ending)) return ending[1] === 'D' ? true : undefined;
  if (ending === 'sD') return undefined;
  return !/^[SsDKRP]/.test(ending);
}
