/**
 * Which state directory has the machine's pool: two daemons that each gave CPUs away would give the same ones. A file in
 * /run says it, and goes with a reboot as everything does that the pool did to the host kernel.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { errnoOf } from '../sys/host-files.ts';

export interface PoolLease {
  /** Throws `conflict` naming the state directory that has it. To take it again is fine. */
  take(): void;
  /** Does nothing when another one has it. */
  drop(): void;
}

/** For the daemon of `home`, in `directory` (/run/polykernel for root). A holder whose directory is gone has lost it. */
export function poolLease(home: string, directory: string): PoolLease {
  const path = join(directory, 'pool');
  return {
    take() {
      const holder = readHolder(path);
      if (holder === home) return;
      if (holder !== undefined && existsSync(holder)) {
        throw new PolykernelError('conflict', `the daemon of ${holder} has the pool of this machine`, {
          field: 'pool',
          value: holder,
          hint: `Use that one, or give its pool back: POLYKERNEL_HOME=${holder} pk pool release`,
        });
      }
      try {
        mkdirSync(directory, { recursive: true, mode: 0o755 });
        rmSync(path, { force: true });
        // Exclusive: of two that found it free only one makes the file.
        writeFileSync(path, `${home}\n`, { flag: 'wx', mode: 0o644 });
      } catch (error) {
        throw asPolykernelError(error, `writing ${path}`);
      }
    },
    drop() {
      if (readHolder(path) === home) rmSync(path, { force: true });
    },
  };
}

function readHolder(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw asPolykernelError(error, `reading ${path}`);
  }
}
