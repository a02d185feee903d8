/** Ports of the host that lead into the private network: a small process each (`pk-forward`), which outlives the daemon. */
import { join } from 'node:path';
import { endAllBut, endBackground, findBackground, startBackground } from '../core/background.ts';
import { commandLine, signalProcess } from '../core/process-id.ts';
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

  /** Leads a port of the host, one of `all` of its instance, to `address` in a network namespace. Rejects with `conflict` when it is in use. */
  async start(port: PublishedPort, all: readonly PublishedPort[], namespace: string, address: string): Promise<void> {
    const { hostAddress, hostPort, guestPort, protocol } = port;
    const file = this.#file(port);
    const way = protocol === 'udp' ? `udp:${partOf(port, all)}` : protocol;
    const args = [file, hostAddress, String(hostPort), namespace, address, String(guestPort), way];
    const failed = await startBackground({ program: 'pk-forward', file, args });
    if (!('reason' in failed)) return;
    if (failed.code === IN_USE) throw inUse(port);
    const isLow = hostPort < LOW_PORTS && /Permission denied/.test(failed.reason);
    const remedy = isLow
      ? `. Choose one from ${LOW_PORTS}, or, as root: sysctl -w net.ipv4.ip_unprivileged_port_start=${hostPort}`
      : '';
    throw new PolykernelError(
      isLow ? 'permission' : 'internal',
      `publishing port ${hostPort}/${protocol} of ${hostAddress} failed: ${failed.reason}${remedy}`,
    );
  }

  /** Resolves when the process is gone, at once when there is none. */
  async end(port: PublishedPort): Promise<void> {
    await endBackground(this.#file(port));
  }

  /** Its kernel has ended, which tells nobody: resets what is connected. New clients are reset until there is another. */
  reset(port: PublishedPort): void {
    const found = findBackground(this.#file(port));
    if (found !== undefined) signalProcess(found, 'SIGURG');
  }

  /** Whether its process lives, and leads to `address`: one from before a change that a daemon did not complete leads elsewhere. */
  lives(port: PublishedPort, address: string): boolean {
    const found = findBackground(this.#file(port));
    if (found === undefined) return false;
    // As start() gave them: program, file, address and port of the host, namespace, address and port of the guest.
    const [, , , , , toAddress, toPort] = commandLine(found.pid);
    return toAddress === address && toPort === String(port.guestPort);
  }

  /** Ends all that lead nowhere. */
  async endAllBut(wanted: readonly PublishedPort[]): Promise<void> {
    await endAllBut(this.#directory, new Set(wanted.map(nameOf)));
  }

  #file(port: PublishedPort): string {
    return join(this.#directory, nameOf(port));
  }
}

/** Which it is of those that lead to the same port of the guest. */
function partOf(port: PublishedPort, all: readonly PublishedPort[]): string {
  const same = all.filter(({ protocol, guestPort }) => protocol === port.protocol && guestPort === port.guestPort);
  return `${same.indexOf(port)}/${same.length}`;
}

/** Of TCP as an earlier Polykernel named it. */
const nameOf = ({ hostAddress, hostPort, protocol }: PublishedPort): string =>
  `${hostAddress}:${hostPort}${protocol === 'udp' ? '.udp' : ''}`;

const inUse = ({ hostAddress, hostPort, protocol }: PublishedPort): PolykernelError =>
  new PolykernelError('conflict', `port ${hostPort}/${protocol} of ${hostAddress} is in use by another program`, {
    field: 'publish',
    value: hostPort,
    hint: `Choose another port, or see who has it: ss -l${protocol[0]}np 'sport = :${hostPort}'`,
  });
