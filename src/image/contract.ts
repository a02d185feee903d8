/** Kernel images and root file systems: what guests boot from. */
export { KNOWN_IMAGES } from './debian.ts';
export type { ImageKind, KernelImage, ModulePurpose } from './image.ts';
export type { ImageInfo, Images, ImportRequest } from './requests.ts';
export type { RootSource, Source } from './root.ts';
export { prepareRoot, type RootOptions } from './rootfs.ts';
export { ImageStore, type ImageStoreOptions } from './store.ts';
