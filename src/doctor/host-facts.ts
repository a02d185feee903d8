/** Looks at the machine for doctor: quick, changes nothing, and starts no guest. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ImageInfo, ImageStore } from '../image/contract.ts';
import { hostFiles } from '../sys/host-files.ts';
import { RANGE_IDS, userIdentity } from '../sys/identity.ts';
import { limitMechanism } from '../sys/limit-groups.ts';
import { type OpenFiles, readOpenFiles } from '../sys/open-files.ts';
import { cacheDirectory, type NativeProgram, nativePath } from '../sys/paths.ts';
import { findTool } from '../sys/tools.ts';

const DOCTOR_TOOLS = ['apt-get', 'apt-cache', 'bwrap'] as const;
type DoctorTool = (typeof DOCTOR_TOOLS)[number];

/** What every kernel needs; capabilities and drivers say of their own. */
export const NATIVE_PROGRAMS: readonly NativeProgram[] = ['pk-init', 'pk-modprobe', 'pk-shim', 'pk-cell', 'pk-jail'];

export interface HostFacts {
  nodeVersion: string;
  uid: number;
  /** Where each program was found; undefined = nowhere. */
  tools: Record<DoctorTool, { path: string; unpacked: boolean } | undefined>;
  /** Contents of the kernel's switches for user namespaces; undefined where the kernel has no such switch. */
  userNamespaces: { maximum: number; debianClone: number | undefined; apparmorRestricts: number | undefined };
  /** How many ids of the host a kernel of this user has. */
  idsPerKernel: number;
  images: readonly ImageInfo[];
  natives: Record<string, boolean>;
  home: Space;
  cache: Space;
  /** Undefined if /dev/shm is not mounted. */
  sharedMemory: Space | undefined;
  openFiles: OpenFiles;
  /** Control groups that can bound kernels, and why there are no others. */
  limits: { groups: readonly string[]; notes: readonly string[] };
  cgroup: { kind: 'v2' | 'v1' | 'hybrid' | 'none'; controllers: readonly string[] };
}

export interface Space {
  path: string;
  freeBytes: number;
  totalBytes: number;
}

export interface FactsOptions {
  /** State directory. */
  home: string;
  images: Pick<ImageStore, 'list'>;
  cache?: string;
  /** Where /proc, /sys and /dev are looked for. */
  root?: string;
}

/** What this machine is like now. */
export async function observeHost({
  home,
  images,
  cache = cacheDirectory(),
  root = '/',
}: FactsOptions): Promise<HostFacts> {
  const [homeSpace, cacheSpace, sharedMemory] = await Promise.all([
    spaceOf(home),
    spaceOf(cache),
    spaceOf(join(root, 'dev/shm')).catch(() => undefined),
  ]);
  const tools = DOCTOR_TOOLS.map((name) => [name, findTool(name, { debian: join(cache, 'debian') })] as const);
  return {
    nodeVersion: process.versions.node,
    uid: process.getuid?.() ?? -1,
    tools: Object.fromEntries(tools) as HostFacts['tools'],
    userNamespaces: {
      maximum: readNumber(join(root, 'proc/sys/user/max_user_namespaces')) ?? 0,
      debianClone: readNumber(join(root, 'proc/sys/kernel/unprivileged_userns_clone')),
      apparmorRestricts: readNumber(join(root, 'proc/sys/kernel/apparmor_restrict_unprivileged_userns')),
    },
    images: await images.list(),
    natives: Object.fromEntries(NATIVE_PROGRAMS.map((name) => [name, existsSync(nativePath(name, cache))])),
    home: homeSpace,
    cache: cacheSpace,
    sharedMemory: sharedMemory?.path === join(root, 'dev/shm') ? sharedMemory : undefined,
    idsPerKernel: process.getuid?.() === 0 ? RANGE_IDS : await subordinateCount(),
    openFiles: readOpenFiles(readText(join(root, 'proc/self/limits'))),
    limits: limitMechanism(hostFiles(root)),
    cgroup: readCgroup(join(root, 'sys/fs/cgroup')),
  };
}

/** Free space where a directory is or, if it is not there yet, would be. */
async function spaceOf(path: string): Promise<Space> {
  let existing = path;
  while (!existsSync(existing)) existing = dirname(existing);
  const { bsize, bavail, blocks } = await statfs(existing);
  return { path: existing, freeBytes: bsize * bavail, totalBytes: bsize * blocks };
}

async function subordinateCount(): Promise<number> {
  const identity = await userIdentity();
  return identity.kind === 'subids' ? 1 + identity.uids.count : 1;
}

function readCgroup(path: string): HostFacts['cgroup'] {
  const unified = readText(join(path, 'cgroup.controllers'));
  if (existsSync(join(path, 'cgroup.controllers'))) return { kind: 'v2', controllers: words(unified) };
  const legacy = ['cpu', 'cpuset', 'memory', 'pids', 'freezer'].filter((name) => existsSync(join(path, name)));
  if (legacy.length === 0) return { kind: 'none', controllers: [] };
  return { kind: readdirSync(path).includes('unified') ? 'hybrid' : 'v1', controllers: legacy };
}

function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function readNumber(path: string): number | undefined {
  const text = readText(path).trim();
  return /^\d+$/.test(text) ? Number(text) : undefined;
}
