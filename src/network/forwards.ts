/** Ports of the host that lead into the private network: a small process each (`pk-forward`), which outlives the daemon. */
import { join } from 'node:path';
import { endAllBut, endBackground, findBackground, startBackground } from '../core/background.ts';
import { signalProcess } from '../core/process-id.ts';
import type { PublishedPort } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';

/** With which pk-forward ends when the address is in use. */
const IN_USE = 3;
/** Below it a port takes root, unless the host says otherwise. */
const LOW_PORTS = 1024;

export class Forwards {
  readonly #directory: string;

  /** `directory`: of the processes' own files, made with the first of them. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Leads a port of the host to `address` in a network namespace. Rejects with `conflict` when it is in use. */
  async start(port: PublishedPort, namespace: string, address: string): Promise<void> {
    const { hostAddress, hostPort, guestPort } = port;
    const file = this.#file(hostAddress, hostPort);
    const args = [file, hostAddress, String(hostPort), namespace, address, String(guestPort)];
    const failed = await startBackground({ program: 'pk-forward', file, args });
    if (!('reason' in failed)) return;
    if (failed.code === IN_USE) throw inUse(port);
    const isLow = hostPort < LOW_PORTS && /Permission denied/.test(failed.reason);
    const remedy = isLow
      ? `. Choose one from ${LOW_PORTS}, or, as root: sysctl -w net.ipv4.ip_unprivileged_port_start=${hostPort}`
      : '';
    throw new PolykernelError(
      isLow ? 'permission' : 'internal',
      `publishing port ${hostPort} failed: ${failed.reason}${remedy}`,
    );
  }

  /** Resolves when the process is gone, at once when there is none. */
  async end(hostAddress: string, hostPort: number): Promise<void> {
    await endBackground(this.#file(hostAddress, hostPort));
  }

  /** Its kernel has ended, which tells nobody: resets what is connected. New clients are reset until there is another. */
  reset({ hostAddress, hostPort }: PublishedPort): void {
    const found = findBackground(this.#file(hostAddress, hostPort));
    if (found !== undefined) signalProcess(found, 'SIGURG');
  }

  /** Whether its process lives. */
  lives({ hostAddress, hostPort }: PublishedPort): boolean {
    return findBackground(this.#file(hostAddress, hostPort)) !== undefined;
  }

  /** Ends all that lead nowhere. */
  async endAllBut(wanted: readonly PublishedPort[]): Promise<void> {
    await endAllBut(this.#directory, new Set(wanted.map(({ hostAddress, hostPort }) => `${hostAddress}:${hostPort}`)));
  }

  #file(hostAddress: string, hostPort: number): string {
    return join(this.#directory, `${hostAddress}:${hostPort}`);
  }
}

const inUse = ({ hostAddress, hostPort }: PublishedPort): PolykernelError =>
  new PolykernelError('conflict', `port ${hostPort} of ${hostAddress} is in use by another program`, {
    field: 'publish',
    value: hostPort,
    hint: `Choose another port, or see who has it: ss -ltnp 'sport = :${hostPort}'`,
  });
