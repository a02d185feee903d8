/** What HAProxy says of each request, and of its health checks, over a Unix socket: messages that begin with their length. */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Outcome } from './slo.ts';

/** Above it, what comes is no log. */
const LONGEST = 4096;
const LENGTH_DIGITS = 5;

/** In a configuration: what parseLine() reads. The latency is that of the request, in tcp mode of the connection's beginning. */
export const LOG_FORMAT = {
  http: 'pk http %b %s %ST %tsc %[date(0,us),sub(txn.begin)] %Ta',
  tcp: 'pk tcp %b %s 0 %ts - %Tc',
} as const;

/** A request that has ended. */
export interface LoggedRequest {
  service: string;
  /** `<NOSRV>` when no server could be used. */
  server: string;
  /** What became of it; undefined when that says nothing about the service, as when its client gave up. */
  outcome: Outcome | undefined;
}

const LINE = /^pk (http|tcp) (\S+) (\S+) (-?\d+) (\S+) (-?\d+|-) ([-+]?\d+)\s*$/;

/** undefined for a line about something else. */
export function parseLine(line: string): LoggedRequest | undefined {
  const [, mode, service, server, status, ending, precise, coarse] = LINE.exec(line) ?? [];
  if (service === undefined || server === undefined) return undefined;
  const ok = mode === 'http' ? httpOutcome(Number(status), ending!) : tcpOutcome(ending!);
  if (ok === undefined) return { service, server, outcome: undefined };
  return { service, server, outcome: { ok, microseconds: ok ? latency(Number(precise), Number(coarse)) : undefined } };
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

/** Takes messages apart. Returns what is left; undefined when these are none. */
export function takeMessages(text: string, onMessage: (message: string) => void): string | undefined {
  let at = 0;
  while (at < text.length) {
    const space = text.indexOf(' ', at);
    if (space < 0 && text.length - at <= LENGTH_DIGITS) break;
    const digits = text.slice(at, space < 0 ? text.length : space);
    const length = /^\d{1,5}$/.test(digits) ? Number(digits) : Number.NaN;
    if (!(space >= 0 && length <= LONGEST)) return undefined;
    if (space + 1 + length > text.length) break;
    onMessage(text.slice(space + 1, space + 1 + length));
    at = space + 1 + length;
  }
  return text.slice(at);
}

/** Listens at `path` until it is closed; never keeps the process alive. */
export function listenForLog(path: string, onMessage: (message: string) => void): Promise<{ close(): void }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    let rest = '';
    socket.setEncoding('latin1');
    socket.unref();
    socket.on('data', (text: string) => {
      const left = takeMessages(rest + text, onMessage);
      if (left === undefined) socket.destroy();
      else rest = left;
    });
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.unref();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // Whoever left it is gone: this directory has one daemon.
    rmSync(path, { force: true });
    server.listen(path, () => {
      chmodSync(path, 0o600);
      resolve({
        close() {
          server.close();
          for (const socket of sockets) socket.destroy();
        },
      });
    });
  });
}
