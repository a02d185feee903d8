/**
 * Which state directory has the machine's pool, or its PCI functions: two daemons that each gave CPUs away would give the same
 * ones. A file in /run says it, and goes with a reboot as everything does that was done to the host kernel for it.
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
export const poolLease = (home: string, directory: string): PoolLease =>
  machineLease(home, directory, 'pool', (holder) => `give its pool back: POLYKERNEL_HOME=${holder} pk pool release`);

/** The same of its PCI functions. */
export const functionLease = (home: string, directory: string): PoolLease =>
  machineLease(home, directory, 'functions', (holder) => `see what it has: POLYKERNEL_HOME=${holder} pk sriov ls`);

/** The same of what was taken over of kerf. */
export const kerfLease = (home: string, directory: string): PoolLease =>
  machineLease(home, directory, 'kerf', (holder) => `hand it back: POLYKERNEL_HOME=${holder} pk kerf release --keep`);

function machineLease(home: string, directory: string, what: string, remedy: (holder: string) => string): PoolLease {
  const path = join(directory, what);
  return {
    take() {
      const holder = readHolder(path);
      if (holder === home) return;
      if (holder !== undefined && existsSync(holder)) {
        throw new PolykernelError('conflict', `the daemon of ${holder} has the ${what} of this machine`, {
          field: what,
          value: holder,
          hint: `Use that one, or ${remedy(holder)}`,
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
