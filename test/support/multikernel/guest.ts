/** What runs in an instance: a kernel of User Mode Linux whose one line is its mktty, or nothing at all. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { nativePath } from '../../../src/sys/paths.ts';

export interface Guest {
  /** False when its ring is full. */
  write(data: Buffer): boolean;
  kill(): void;
}

export interface Boot {
  /** Of User Mode Linux. */
  program: string;
  initramfs: string;
  commandLine: string;
  memoryBytes: number;
  /** What it writes on its line. */
  said(data: Buffer): void;
  /** A second serial line stands for what vsock would be; or there is none. */
  vsock?: (line: Duplex) => void;
  /** It panicked, or powered off: all that the parent learns is that its CPUs are parked. */
  ended(): void;
}

const RING_BYTES = 64 * 4096;

/** Its pid, for who looks whether anything is left. */
export function bootUml(boot: Boot): Guest & { pid: number } {
  const directory = mkdtempSync(join(tmpdir(), 'pk-mk-'));
  const second = boot.vsock === undefined ? 'none' : 'ttyS1';
  const line = boot.commandLine
    .replaceAll('mktty0', 'ttyS0')
    .replace(/vsock:\d+/, second)
    .split(' ');
  const child: ChildProcess = spawn(
    'setarch',
    [
      ...['-R', boot.program, `mem=${Math.floor(boot.memoryBytes / 1024)}K`, `initrd=${boot.initramfs}`],
      ...[
        `uml_dir=${directory}`,
        'umid=u',
        'con=null',
        'con0=null',
        'ssl=null',
        'ssl0=fd:3,fd:3',
        ...(boot.vsock === undefined ? [] : ['ssl1=fd:4,fd:4']),
        'pty.legacy_count=0',
      ],
      'initcall_blacklist=raid6_select_algo,calibrate_xor_blocks,init_zswap,init_btrfs_fs',
      ...['cryptomgr.notests=1', ...line],
    ],
    {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, LD_PRELOAD: nativePath('pk-xstate.so'), TMPDIR: directory },
    },
  );
  const tty = child.stdio[3] as Duplex;
  tty.on('data', (data: Buffer) => boot.said(data));
  tty.on('error', () => {});
  boot.vsock?.(child.stdio[4] as Duplex);
  child.on('close', () => {
    rmSync(directory, { recursive: true, force: true });
    boot.ended();
  });
  return {
    pid: child.pid!,
    write: (data) => {
      if (tty.writableLength + data.length > RING_BYTES) return false;
      tty.write(data);
      return true;
    },
    kill: () => {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // It has ended.
      }
    },
  };
}
