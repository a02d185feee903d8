/** Kinds of kernel that the store knows: `uml`, an executable Linux; `x86_64`, an uncompressed vmlinux with a PVH note. */
export const IMAGE_KINDS = ['uml', 'x86_64'] as const;
export type ImageKind = (typeof IMAGE_KINDS)[number];

/** A kernel image as drivers see it: resolved absolute paths into the content-addressed store. */
export interface KernelImage {
  /** The name it was asked for by: `debian:uml`, `debian:amd64`, `mine`. */
  name: string;
  /** sha256 (hex) over the manifest: identifies kernel, modules and initramfs together. */
  digest: string;
  /** By which drivers know whether they can boot it: one of the store's, or of a driver's own. */
  kind: string;
  /** `uname -r` of the kernel. */
  version: string;
  /** The bootable file: linux.uml or vmlinux. */
  kernel: string;
  /** newc cpio with /init (the agent) and the modules below. */
  initramfs: string;
  /**
   * Modules by purpose; paths inside the initramfs in load order, dependencies first. An absent purpose is built into
   * the kernel or not offered. Purposes: `boot` (control port), `share` (9p), `overlay`, `squashfs`, `ext4`, `block`,
   * `fuse` (for pk-share).
   */
  modules: Partial<Record<ModulePurpose, readonly string[]>>;
  /** Directory with all modules and their lists, as it belongs at /lib/modules/VERSION; undefined: it offers none. */
  moduleTree?: string | undefined;
}

export type ModulePurpose =
  | 'boot'
  | 'share'
  | 'overlay'
  | 'squashfs'
  | 'ext4'
  | 'block'
  | 'network'
  | 'fuse'
  | 'balloon'
  | 'panic'
  | 'watchdog';
