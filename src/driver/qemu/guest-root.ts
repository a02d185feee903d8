/** How a guest in QEMU finds its files: 9p shares with directories, and a disk where the root is an image. Pure. */
import type { GuestRoot } from '../../guest/index.ts';
import type { KernelImage } from '../../image/contract.ts';
import type { LaunchSpec } from '../driver.ts';
import { ROOT_DEVICE, SHARE_TAG, VOLUMES_TAG } from './command.ts';

const SHARE_OPTIONS = 'trans=virtio,version=9p2000.L,msize=512000';

type Lists = readonly (readonly string[] | null | undefined)[];
const allOf = (lists: Lists): string[] => [...new Set(lists.flatMap((list) => list ?? []))];

/** What all roots need, and what tells how the kernel does. */
const common = ({ modules }: KernelImage): Lists => [modules.share, modules.overlay, modules.panic, modules.watchdog];

/** Modules that every clone finds loaded. */
export const templateModules = (image: KernelImage): string[] => allOf([...common(image), image.modules.network]);

/** How the guest finds its root and volumes. */
export function guestRoot(spec: Pick<LaunchSpec, 'image' | 'root' | 'volumes'>): GuestRoot {
  const { root, volumes } = spec;
  const { moduleTree, version } = spec.image;
  const disk = root.kind === 'squashfs' || root.kind === 'ext4' ? root.kind : undefined;
  const share = (source: string, cache: string) => ({ fstype: '9p', source, data: `${SHARE_OPTIONS},cache=${cache}` });
  return {
    exportMount: disk === undefined || moduleTree !== undefined ? share(SHARE_TAG, 'loose') : undefined,
    // All else is read-only: of volumes alone both sides must see each other's writes at once.
    volumesMount: volumes.length > 0 ? share(VOLUMES_TAG, 'mmap') : undefined,
    ignoresSetId: root.kind === 'host' && !root.mapped,
    keepsRun: root.kind !== 'host',
    root: disk === undefined ? 'export' : { blockDevice: ROOT_DEVICE, fstype: disk },
    volumes: volumes.map(({ target, readOnly }, index) => ({ index, target, readOnly })),
    modulesOf: moduleTree && version,
  };
}

/** Modules still to be loaded, in load order. */
export function guestModules(spec: Pick<LaunchSpec, 'image' | 'root' | 'network' | 'size'>, cloned: boolean): string[] {
  const { modules } = spec.image;
  const disk = spec.root.kind === 'squashfs' || spec.root.kind === 'ext4' ? spec.root.kind : undefined;
  return allOf([
    ...(cloned ? [] : [...common(spec.image), spec.network && modules.network]),
    disk && modules.block,
    disk && modules[disk],
    spec.size?.memoryChanges ? modules.balloon : undefined,
  ]);
}
