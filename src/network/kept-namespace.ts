/** A network namespace without root: a small process (`pk-netns`) keeps it, in a user namespace whose root the user is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { endBackground, findBackground, startBackground } from '../core/background.ts';
import { PolykernelError } from '../sys/errors.ts';
import { type NetworkNamespace, neededTool } from './namespace.ts';

export class KeptNamespace implements NetworkNamespace {
  readonly #file: string;

  /** `file`: by which its keeper is found. */
  constructor(file: string) {
    this.#file = file;
  }

  /** Of its keeper; 0 when there is none. */
  get #pid(): number {
    return findBackground(this.#file)?.pid ?? 0;
  }

  get path(): string {
    return `/proc/${this.#pid}/ns/net`;
  }

  get exists(): boolean {
    return findBackground(this.#file) !== undefined;
  }

  async make(): Promise<void> {
    const failed = await startBackground({ program: 'pk-netns', file: this.#file, args: [this.#file] });
    if (!('reason' in failed)) return;
    const { reason, hint } = userNamespaceLimit() ?? { reason: failed.reason, hint: 'Run the daemon as root.' };
    // What fails a start is told as one text.
    throw new PolykernelError('unavailable', `no network can be kept without root: ${reason}. ${hint}`, {
      field: 'network',
    });
  }

  async remove(): Promise<void> {
    await endBackground(this.#file);
  }

  inside(argv: readonly string[]): string[] {
    const entering = ['--preserve-credentials', '--user', '--net', '--target', String(this.#pid)];
    return [neededTool('nsenter').path, ...entering, '--', ...argv];
  }
}

/** What keeps users from making user namespaces they have rights in; null: nothing known. `sure`: it cannot work at all. */
export function userNamespaceLimit(root = '/'): { reason: string; hint: string; sure: boolean } | null {
  const limit = (reason: string, setting: string, sure: boolean) => {
    const hint = `As root: sysctl -w ${setting} (and put it into /etc/sysctl.d to keep it), or run the daemon as root.`;
    return { reason, hint, sure };
  };
  const setting = (name: string) => read(join(root, 'proc/sys', name));
  if (setting('user/max_user_namespaces') === '0')
    return limit(
      'user namespaces are switched off (user.max_user_namespaces=0)',
      'user.max_user_namespaces=15000',
      true,
    );
  if (setting('kernel/unprivileged_userns_clone') === '0') {
    const off = 'only root may make user namespaces (kernel.unprivileged_userns_clone=0)';
    return limit(off, 'kernel.unprivileged_userns_clone=1', true);
  }
  if (setting('kernel/apparmor_restrict_unprivileged_userns') === '1') {
    const off = 'AppArmor takes the rights in user namespaces away (kernel.apparmor_restrict_unprivileged_userns=1)';
    // A profile may exempt the program.
    return limit(off, 'kernel.apparmor_restrict_unprivileged_userns=0', false);
  }
  return null;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return undefined;
  }
}
