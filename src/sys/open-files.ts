import { readFileSync } from 'node:fs';

export interface OpenFiles {
  /** Infinity: no limit. */
  soft: number;
  hard: number;
}

/** The limit on open files out of /proc/PID/limits, proc(5). */
export function readOpenFiles(limits: string): OpenFiles {
  const match = /^Max open files\s+(\S+)\s+(\S+)/m.exec(limits);
  const value = (text: string | undefined) => (text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text ?? 0));
  return { soft: value(match?.[1]), hard: value(match?.[2]) };
}

/** That of this process. */
export const ownOpenFiles = (): OpenFiles => readOpenFiles(readFileSync('/proc/self/limits', 'latin1'));
