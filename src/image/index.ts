export type { KernelImage, ModulePurpose } from './image.ts';
