/** Kernel images and root file systems: what guests boot from. */

export { KNOWN_IMAGES } from './debian.ts';
export { IMAGE_KINDS, type ImageKind, type KernelImage, type ModulePurpose } from './image.ts';
export type { ImageInfo, ImportRequest } from './requests.ts';
export type { RootSource, Source } from './root.ts';
export { prepareRoot, type RootOptions } from './rootfs.ts';
export { ImageStore, type ImageStoreOptions, type ImageSummary } from './store.ts';
