/** The daemon as a unit of systemd: its text, and whose daemon runs as one. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { daemonEnvironment } from '../../sys/environment.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { DAEMON_FLAGS, nodeCommand } from '../../sys/node.ts';
import { cacheDirectory } from '../../sys/paths.ts';

export const UNIT = 'polykernel.service';
/** By it a unit of ours is known. */
export const MARK = '# Written by `pk daemon install`; `pk daemon uninstall` removes it.';

export type Manager = 'system' | 'user';

const MAIN = fileURLToPath(new URL('../../daemon/main.ts', import.meta.url));
const DOCUMENT = fileURLToPath(new URL('../../../docs/daemon.md', import.meta.url));

/** What a daemon of root and its kernels never do to the host; taken from all of them for good. */
const NEVER = [
  'AUDIT_CONTROL',
  'AUDIT_READ',
  'AUDIT_WRITE',
  'BLOCK_SUSPEND',
  'LEASE',
  'LINUX_IMMUTABLE',
  'MAC_ADMIN',
  'MAC_OVERRIDE',
  'SYS_BOOT',
  'SYS_PACCT',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'SYSLOG',
  'WAKE_ALARM',
].map((name) => `CAP_${name}`);

/** Where the manager looks for it. */
export function unitPath(manager: Manager, env: NodeJS.ProcessEnv = process.env): string {
  if (manager === 'system') return join('/etc/systemd/system', UNIT);
  const config = env.XDG_CONFIG_HOME ?? (env.HOME === undefined ? undefined : join(env.HOME, '.config'));
  if (config !== undefined) return join(config, 'systemd/user', UNIT);
  throw new PolykernelError('invalid', 'it is not known where units of this user belong: HOME is not set', {
    field: 'HOME',
  });
}

/**
 * KillMode=process: kernels outlive the daemon. No option that gives the daemon mounts of its own (ProtectSystem=, PrivateTmp=
 * and the like): networks and volumes of kernels are the host's, and the next daemon's. No option that is a filter of system calls
 * which kernels inherit (RestrictNamespaces=, LockPersonality=, MemoryDenyWriteExecute= and the like): jails need all of that, and set filters of their own.
 */
export function unitText(home: string, manager: Manager, env: NodeJS.ProcessEnv = process.env): string {
  const argv = nodeCommand(MAIN, ['--home', home], DAEMON_FLAGS);
  // The manager's own variables are not among these.
  const settings = { ...daemonEnvironment(env), POLYKERNEL_HOME: home, POLYKERNEL_CACHE: cacheDirectory(env) };
  const secrets = secretsOf(env);
  const system = [`CapabilityBoundingSet=~${NEVER.join(' ')}`, 'OOMScoreAdjust=-500', 'Slice=system.slice'];
  return `${MARK}
[Unit]
Description=Polykernel, each application in a Linux kernel of its own
Documentation=file://${DOCUMENT.replaceAll('%', '%%')}
${manager === 'system' ? 'After=network.target local-fs.target' : 'After=default.target'}
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart=${argv.map(argument).join(' ')}
${Object.entries(settings)
  .filter(([name]) => !secrets.includes(name))
  .map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`)
  .join('\n')}
UMask=0077
Restart=on-failure
RestartSec=1
WatchdogSec=60
TimeoutStartSec=90
TimeoutStopSec=20
KillMode=process
SendSIGKILL=yes
Delegate=yes
DelegateSubgroup=daemon
LimitNOFILE=65536:524288
SystemCallArchitectures=native
KeyringMode=private
${manager === 'system' ? `${system.join('\n')}\n` : ''}
[Install]
WantedBy=${manager === 'system' ? 'multi-user.target' : 'default.target'}
`;
}

/** Settings that no unit holds, for every user of the machine may read it, of the manager too: proxies with a name and a password. */
export const secretsOf = (env: NodeJS.ProcessEnv = process.env): string[] =>
  Object.entries(daemonEnvironment(env))
    .filter(([name, value]) => /_proxy$/i.test(name) && value.includes('@'))
    .map(([name]) => name);

/** A word of a command: what looks like a variable is plain text. */
const argument = (text: string): string => quoted(text).replaceAll('$', '$$$$');

/** A word as systemd.syntax(7) has it: quoted, what looks like a specifier is plain text. */
function quoted(text: string): string {
  if (/[\n\r\0]/.test(text))
    throw new PolykernelError('invalid', 'a unit cannot hold a line feed', { value: text, field: 'environment' });
  const plain = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%');
  return `"${plain}"`;
}

/** Whose unit the daemon with this pid is the main process of; undefined when it is none. */
export function managed(pid: number, procRoot = '/proc'): Manager | undefined {
  let environment: string;
  let groups: string;
  try {
    environment = readFileSync(join(procRoot, String(pid), 'environ'), 'latin1');
    groups = readFileSync(join(procRoot, String(pid), 'cgroup'), 'latin1');
  } catch {
    return undefined;
  }
  if (!/(^|\0)NOTIFY_SOCKET=/.test(environment)) return undefined;
  return /\/user@\d+\.service\//.test(groups) ? 'user' : 'system';
}
