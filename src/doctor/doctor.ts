/** What doctor says of a machine. Pure: facts in, checks out; each that is not `ok` says how to get there. */

import { type Check, toolCheck } from '../core/check.ts';
import { KNOWN_IMAGES } from '../image/contract.ts';
import { formatBytes } from '../sys/units.ts';
import { type HostFacts, NATIVE_PROGRAMS, type Space } from './host-facts.ts';

const OLDEST_NODE = 24;
const GIB = 1024 ** 3;
/** Below this, logs and scratch files soon fill the disk. */
const ENOUGH_DISK_BYTES = 2 * GIB;
/** Guest memory lies in /dev/shm, for one, and that of templates: room for a handful of guests. */
const ENOUGH_SHARED_BYTES = GIB;
/** A manager with a hundred guests holds some ten descriptors for each. */
const ENOUGH_FILES = 1024;

/** All checks of the machine, in the order people should read them. The drivers' own probes come elsewhere. */
export function hostChecks(facts: HostFacts): Check[] {
  return [
    checkNode(facts),
    toolCheck(
      'apt',
      'apt-get',
      'packages and kernels can be fetched',
      facts.tools['apt-cache'] && (facts.tools['apt-get'] ?? null),
      'Polykernel sets itself up on Debian and Ubuntu only.',
    ),
    toolCheck('bubblewrap', 'bwrap', 'guests can be confined', facts.tools.bwrap ?? null),
    checkUserNamespaces(facts),
    checkIds(facts),
    checkNatives(facts),
    checkImages(facts),
    checkSpace('home-space', 'the state directory', facts.home),
    checkSpace('cache-space', 'the cache', facts.cache),
    checkSharedMemory(facts),
    checkOpenFiles(facts),
    checkCgroup(facts),
    checkLimits(facts),
  ];
}

function ok(id: string, summary: string): Check {
  return { id, status: 'ok', summary };
}

function checkNode({ nodeVersion }: HostFacts): Check {
  if (Number.parseInt(nodeVersion, 10) >= OLDEST_NODE) return ok('node', `Node.js ${nodeVersion}`);
  const hint = 'Run `pk setup`, which brings its own Node.js through npm.';
  return { id: 'node', status: 'missing', summary: `Node.js ${nodeVersion} is older than ${OLDEST_NODE}`, hint };
}

/** Each kernel is in one. */
function checkUserNamespaces({ uid, userNamespaces }: HostFacts): Check {
  const id = 'user-namespaces';
  const { maximum, debianClone, apparmorRestricts } = userNamespaces;
  const off = (summary: string, setting: string): Check => {
    return {
      id,
      status: 'missing',
      summary,
      hint: `As root: sysctl -w ${setting}, and put it into /etc/sysctl.d to keep it.`,
    };
  };
  if (maximum === 0) return off('user namespaces are switched off', 'user.max_user_namespaces=15000');
  if (uid === 0) return ok(id, `root may make ${maximum} of them, one for each kernel`);
  if (debianClone === 0) return off('only root may make user namespaces', 'kernel.unprivileged_userns_clone=1');
  if (apparmorRestricts === 1) {
    const summary =
      'AppArmor restricts user namespaces; the bubblewrap that Ubuntu installs may be exempt, an unpacked one is not';
    return { ...off(summary, 'kernel.apparmor_restrict_unprivileged_userns=0'), status: 'warn' };
  }
  return ok(id, `users may make ${maximum} of them`);
}

/** Files of more than one owner need more than one id. */
function checkIds({ uid, idsPerKernel }: HostFacts): Check {
  const id = 'identity';
  if (uid === 0) return ok(id, `each kernel has ${idsPerKernel} user ids of its own`);
  if (idsPerKernel > 1) return ok(id, `kernels have your user id and ${idsPerKernel - 1} more of yours (/etc/subuid)`);
  return {
    id,
    status: 'warn',
    summary: 'kernels have your user id alone: all that they write to volumes is yours',
    hint: 'For files of other owners, as root: apt-get install uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER',
  };
}

function checkNatives({ natives }: HostFacts): Check {
  const absent = NATIVE_PROGRAMS.filter((name) => !natives[name]);
  if (absent.length === 0) return ok('native', `${NATIVE_PROGRAMS.join(', ')} are built`);
  return { id: 'native', status: 'missing', summary: `not built: ${absent.join(', ')}`, hint: 'Run `pk setup`.' };
}

function checkImages({ images }: HostFacts): Check {
  const names = images.map((image) => `${image.name} (Linux ${image.version})`);
  const absent = KNOWN_IMAGES.filter((name) => !images.some((image) => image.name === name));
  if (absent.length === 0) return ok('images', names.join(', '));
  const summary = `not pulled: ${absent.join(', ')}${names.length > 0 ? `; there: ${names.join(', ')}` : ''}`;
  const hint = `Run ${absent.map((name) => `\`pk image pull ${name}\``).join(' and ')}.`;
  return { id: 'images', status: images.length === 0 ? 'missing' : 'warn', summary, hint };
}

function checkSpace(id: string, what: string, { path, freeBytes }: Space): Check {
  const summary = `${formatBytes(freeBytes)} free for ${what} (${path})`;
  if (freeBytes >= ENOUGH_DISK_BYTES) return ok(id, summary);
  const hint = `Free some space: ${formatBytes(ENOUGH_DISK_BYTES)} are a good minimum. POLYKERNEL_HOME and POLYKERNEL_CACHE choose other places.`;
  return { id, status: 'warn', summary, hint };
}

function checkSharedMemory({ sharedMemory }: HostFacts): Check {
  const id = 'shared-memory';
  const mount = 'As root: mount -o remount,size=50% /dev/shm (in a container: start it with a larger --shm-size).';
  if (sharedMemory === undefined) {
    return {
      id,
      status: 'missing',
      summary: '/dev/shm is not there, and guest memory lies in it',
      hint: 'As root: mount -t tmpfs tmpfs /dev/shm.',
    };
  }
  const { freeBytes, totalBytes } = sharedMemory;
  const summary = `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free in /dev/shm, where guest memory lies`;
  return freeBytes >= ENOUGH_SHARED_BYTES ? ok(id, summary) : { id, status: 'warn', summary, hint: mount };
}

function checkOpenFiles({ openFiles }: HostFacts): Check {
  // Node raises the soft limit to the hard one by itself, so only the hard one binds.
  const limit = Math.max(openFiles.soft, openFiles.hard);
  if (limit >= ENOUGH_FILES)
    return ok('open-files', `${limit === Number.POSITIVE_INFINITY ? 'any number of' : limit} files may be open`);
  const hint = `Raise it before the daemon starts: ulimit -n ${ENOUGH_FILES}, or nofile in /etc/security/limits.conf.`;
  return { id: 'open-files', status: 'warn', summary: `only ${limit} files may be open`, hint };
}

function checkCgroup({ cgroup }: HostFacts): Check {
  const id = 'cgroup';
  const controllers = cgroup.controllers.join(' ') || 'no controllers';
  if (cgroup.kind === 'v2') return ok(id, `cgroup v2 (${controllers})`);
  if (cgroup.kind !== 'none')
    return ok(id, `cgroup ${cgroup.kind === 'hybrid' ? 'v1 with v2 beside it' : 'v1'} (${controllers})`);
  return {
    id,
    status: 'warn',
    summary: 'no control groups are mounted',
    hint: 'As root: mount -t cgroup2 none /sys/fs/cgroup.',
  };
}

function checkLimits({ limits, uid }: HostFacts): Check {
  const id = 'limits';
  const { groups, notes } = limits;
  if (groups.length === 2) return ok(id, 'memory and processes of each kernel are bounded by control groups');
  const held =
    groups.length === 0 ? 'no control group bounds kernels' : `control groups bound the ${groups[0]} of kernels alone`;
  const hint =
    uid === 0
      ? 'Mount control groups with the controllers memory and pids, and let the daemon write there.'
      : 'Run the daemon below user@UID.service: systemd-run --user --unit polykernel pk daemon run';
  return { id, status: 'warn', summary: `${held}, resource limits do: ${notes.join('; ')}`, hint };
}
