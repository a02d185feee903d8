/** Where else the same files are seen: a directory that must not be shown can be mounted at several places. Pure. */

interface Mount {
  device: string;
  /** What of its file system is mounted. */
  root: string;
  at: string;
  type: string;
}

/** Those through which the host's kernel and its devices are looked at. */
const KERNEL_INTERFACES =
  /^(proc|sysfs|devtmpfs|devpts|cgroup2?|debugfs|tracefs|securityfs|configfs|bpf|mqueue|efivarfs|pstore|fusectl|binfmt_misc|nfsd|rpc_pipefs)$/;

/** proc(5), mountinfo. */
export function parseMounts(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [front = '', back = ''] = line.split(' - ', 2);
    const [, , device, root, at] = front.split(' ').map(decode);
    const [type = ''] = back.split(' ', 1);
    return device === undefined || root === undefined || at === undefined ? [] : [{ device, root, at, type }];
  });
}

const decode = (text: string): string =>
  text.replace(/\\([0-3][0-7]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/**
 * Every mount of a kernel interface, and of an automounter, which asks a program of the host for each name that is looked for there: but for
 * those on which something is mounted.
 */
export function kernelInterfaces(mounts: readonly Mount[]): string[] {
  const last = new Map(mounts.map((mount) => [mount.at, mount]));
  const isHidden = (mount: Mount) =>
    KERNEL_INTERFACES.test(mount.type) || (mount.type === 'autofs' && last.get(mount.at) === mount);
  return mounts.filter((mount) => isHidden(mount) && mount.root.startsWith('/')).map(({ at }) => at);
}

/** Every place where something of `paths` is seen besides themselves. */
export function otherPlaces(paths: readonly string[], mounts: readonly Mount[]): string[] {
  return paths.flatMap((path) => aliases(path, mounts));
}

function aliases(path: string, mounts: readonly Mount[]): string[] {
  const holder = mounts
    .filter(({ at }) => isWithin(path, at))
    .sort((a, b) => a.at.length - b.at.length)
    .at(-1);
  if (holder === undefined) return [];
  const inside = join(holder.root, path.slice(holder.at === '/' ? 0 : holder.at.length));
  return mounts
    .filter((mount) => mount !== holder && mount.device === holder.device)
    .flatMap(({ root, at }) => {
      if (isWithin(root, inside)) return [at];
      return isWithin(inside, root) ? [join(at, inside.slice(root === '/' ? 0 : root.length))] : [];
    });
}

const isWithin = (path: string, directory: string): boolean =>
  directory === '/' || path === directory || path.startsWith(`${directory}/`);

const join = (directory: string, rest: string): string => (directory === '/' ? rest : directory + rest) || '/';
