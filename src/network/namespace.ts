/** Network namespaces in which programs of the host can be run. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { runCommand } from '../sys/command.ts';
import { PolykernelError } from '../sys/errors.ts';
import { findTool, type Tool, toolHint } from '../sys/tools.ts';

const NAMESPACES = '/run/netns';
const DEADLINE_MS = 20_000;

/** What root's namespace and the pair that leads out of it are called: each state directory has its own. */
export const networkName = (home: string): string =>
  `pk-${createHash('sha256').update(home).digest('hex').slice(0, 8)}`;

export interface NetworkNamespace {
  /** A file that stands for it while it exists: what pk-shim and pk-forward enter it by. */
  readonly path: string;
  readonly exists: boolean;
  make(): Promise<void>;
  /** Takes it away with everything in it. Resolves at once when there is none. */
  remove(): Promise<void>;
  /** The argument vector that runs `argv` in it, with all rights over it. */
  inside(argv: readonly string[]): string[];
}

/** As `ip netns` makes them and shows them; for root. */
export class NamedNamespace implements NetworkNamespace {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  get path(): string {
    return `${NAMESPACES}/${this.#name}`;
  }

  get exists(): boolean {
    return existsSync(this.path);
  }

  async make(): Promise<void> {
    await runIp(['netns', 'add', this.#name]);
  }

  async remove(): Promise<void> {
    if (this.exists) await runIp(['netns', 'del', this.#name]);
  }

  inside(argv: readonly string[]): string[] {
    return [neededTool('ip').path, 'netns', 'exec', this.#name, ...argv];
  }
}

/** Lets `ip` and `nft` act in one place: in a namespace, or on the host when there is none given. */
export class NetworkTools {
  readonly #inside: (argv: readonly string[]) => readonly string[];

  constructor(namespace?: NetworkNamespace) {
    this.#inside = (argv) => namespace?.inside(argv) ?? argv;
  }

  async ip(args: readonly string[]) {
    return await this.#run(neededTool('ip'), args);
  }

  /** Commands of `ip`, one a line; `options`: such as -force, to go on behind one that fails. */
  async batch(lines: readonly string[], options: readonly string[] = []) {
    return await this.#run(neededTool('ip'), [...options, '-batch', '-'], lines.join('\n'));
  }

  async bridge(args: readonly string[]) {
    return await this.#run(neededTool('bridge'), args);
  }

  async nft(script: string) {
    return await this.#run(neededTool('nft'), ['-f', '-'], `${script}\n`);
  }

  /** A script of the shell. */
  async shell(script: string) {
    return await this.#run({ path: '/bin/sh', env: {} }, ['-c', script]);
  }

  #run({ path, env }: Pick<Tool, 'path' | 'env'>, args: readonly string[], input?: string) {
    return runCommand(this.#inside([path, ...args]), {
      deadlineMs: DEADLINE_MS,
      env,
      ...(input !== undefined && { input }),
    });
  }
}

const runIp = (args: readonly string[]) => new NetworkTools().ip(args);

/** A program without which there is no network. Throws `unavailable`. */
export function neededTool(name: 'ip' | 'bridge' | 'nft' | 'nsenter'): Tool {
  const tool = findTool(name);
  if (tool !== undefined) return tool;
  throw new PolykernelError('unavailable', `a private network needs the program ${name}`, {
    field: 'network',
    hint: toolHint(name),
  });
}
