/** The daemon within the host of `npm run test:moves`: started with the patience that an emulated processor needs, killed, started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Client } from '../../src/client/index.ts';
import { DAEMON_FLAGS, nodeCommand } from '../../src/sys/node.ts';
import { layout } from '../../src/sys/paths.ts';

const ENTRY = join(import.meta.dirname, '../../src/daemon/main.ts');

export class HostDaemon {
  readonly #home: string;
  #child: ChildProcess | undefined;
  readonly client: Client;

  private constructor(home: string) {
    this.#home = home;
    this.client = new Client(layout(home).socket);
  }

  static async start(home: string): Promise<HostDaemon> {
    const daemon = new HostDaemon(home);
    await daemon.serving();
    return daemon;
  }

  /** Starts it where it was killed. Rejects when it ends instead of serving. */
  async serving(): Promise<void> {
    if (this.#child !== undefined) return;
    const [program, ...rest] = nodeCommand(ENTRY, ['--home', this.#home, '--ready-fd', '3'], DAEMON_FLAGS);
    const log = openSync(join(this.#home, 'daemon.log'), 'a', 0o600);
    const env = { ...process.env, POLYKERNEL_HOME: this.#home };
    const child = spawn(program!, rest, { env, stdio: ['ignore', log, log, 'pipe'] });
    closeSync(log);
    this.#child = child;
    const ready = child.stdio[3] as Readable;
    const [said] = (await Promise.race([once(ready, 'data'), once(child, 'exit')])) as [Buffer | number | null];
    if (!String(said).includes('"ready":true')) throw new Error(`the daemon does not serve: ${said}`);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** Its kernels go with the host. */
  async end(): Promise<void> {
    await this.kill();
  }
}
