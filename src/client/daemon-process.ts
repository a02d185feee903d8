/** The daemon as a process: its own word on its number may be another process's here, where it has a PID namespace of its own. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PolykernelError } from '../sys/errors.ts';
import type { Layout } from '../sys/paths.ts';
import { processStartTime } from '../sys/process.ts';

export interface DaemonProcess {
  pid: number;
  /** As processStartTime() has it. */
  startTime: number;
}

/** That with number `pid`, if it has the state database open, which nobody else can; else undefined. */
export function daemonProcess(pid: number, { database }: Layout, procRoot = '/proc'): DaemonProcess | undefined {
  const startTime = processStartTime(pid, procRoot);
  if (startTime === undefined || !hasOpen(join(procRoot, String(pid), 'fd'), database)) return undefined;
  return processStartTime(pid, procRoot) === startTime ? { pid, startTime } : undefined;
}

/** Throws `unsupported` where that is none. */
export function daemonProcessHere(pid: number, paths: Layout): DaemonProcess {
  const found = daemonProcess(pid, paths);
  if (found !== undefined) return found;
  throw new PolykernelError('unsupported', `process ${pid} is not the daemon that serves ${paths.home}`, {
    field: 'pid',
    value: pid,
    hint: 'It runs in another PID namespace, such as a container: do this in there.',
  });
}

function hasOpen(descriptors: string, file: string): boolean {
  const identity = (path: string) => {
    const status = statSync(path, { throwIfNoEntry: false });
    return status && `${status.dev} ${status.ino}`;
  };
  try {
    const wanted = identity(file);
    return (
      wanted !== undefined && readdirSync(descriptors).some((name) => identity(join(descriptors, name)) === wanted)
    );
  } catch {
    return false;
  }
}
