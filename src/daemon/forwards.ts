/** Ports of the host that lead into the private network: a small process each (`pk-forward`), which outlives the daemon. */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { PublishedPort } from '../instance/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { nativeBinary } from '../sys/paths.ts';

const DEADLINE_MS = 10_000;
const POLL_MS = 5;
/** With which pk-forward ends when the address is in use. */
const IN_USE = 3;

export class Forwards {
  readonly #directory: string;

  /** `directory`: of the processes' own files, made with the first of them. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Leads a port of the host to `address` in a network namespace. Rejects with `conflict` when it is in use. */
  async start(port: PublishedPort, namespace: string, address: string): Promise<void> {
    const { hostAddress, hostPort, guestPort } = port;
    await this.end(hostAddress, hostPort);
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const file = this.#file(hostAddress, hostPort);
    const argv = [file, hostAddress, String(hostPort), namespace, address, String(guestPort)];
    await new Promise<void>((resolve, reject) => {
      const child = spawn(nativeBinary('pk-forward'), argv, {
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
        env: {},
      });
      let complaint = '';
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        child.stdout.destroy();
        child.stderr.destroy();
        child.unref();
        finish();
      };
      const fail = (error: PolykernelError) => {
        child.kill('SIGKILL');
        settle(() => reject(error));
      };
      const timer = setTimeout(() => fail(failure(port, 'it did not answer')), DEADLINE_MS);
      child.stdout.once('data', () => settle(resolve));
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        complaint += text;
      });
      child.on('error', (error) => fail(failure(port, error.message)));
      child.on('close', (code) => fail(code === IN_USE ? inUse(port) : failure(port, complaint.trim())));
    });
  }

  /** Resolves when the process is gone, at once when there is none. */
  async end(hostAddress: string, hostPort: number): Promise<void> {
    const file = this.#file(hostAddress, hostPort);
    const pid = this.#pid(file);
    rmSync(file, { force: true });
    if (pid === undefined) return;
    process.kill(pid, 'SIGTERM');
    const deadline = performance.now() + DEADLINE_MS;
    while (isForward(pid, file) && performance.now() < deadline) await pause(POLL_MS);
  }

  /** Whether its process lives. */
  lives({ hostAddress, hostPort }: PublishedPort): boolean {
    return this.#pid(this.#file(hostAddress, hostPort)) !== undefined;
  }

  /** Ends all that lead nowhere. */
  async endAllBut(wanted: readonly PublishedPort[]): Promise<void> {
    const kept = new Set(wanted.map(({ hostAddress, hostPort }) => `${hostAddress}:${hostPort}`));
    let names: string[] = [];
    try {
      names = readdirSync(this.#directory);
    } catch {
      // There never was one.
    }
    for (const name of names) {
      const [address = '', port = ''] = name.split(':');
      if (!kept.has(name)) await this.end(address, Number(port));
    }
  }

  #file(hostAddress: string, hostPort: number): string {
    return join(this.#directory, `${hostAddress}:${hostPort}`);
  }

  #pid(file: string): number | undefined {
    try {
      const pid = Number(readFileSync(file, 'latin1'));
      return pid > 0 && isForward(pid, file) ? pid : undefined;
    } catch {
      return undefined;
    }
  }
}

/** The number may belong to another process by now. */
function isForward(pid: number, file: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')[1] === file;
  } catch {
    return false;
  }
}

const failure = ({ hostPort }: PublishedPort, reason: string): PolykernelError =>
  new PolykernelError('internal', `publishing port ${hostPort} failed: ${reason.replace(/^pk-forward: /, '')}`);

const inUse = ({ hostAddress, hostPort }: PublishedPort): PolykernelError =>
  new PolykernelError('conflict', `port ${hostPort} of ${hostAddress} is in use by another program`, {
    field: 'publish',
    value: hostPort,
    hint: `Choose another port, or see who has it: ss -ltnp 'sport = :${hostPort}'`,
  });
