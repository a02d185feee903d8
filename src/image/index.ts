/** Kernel images and roots, as one thing that a daemon can do. */
import { served } from '../core/route.ts';
import { imageApi } from './api.ts';
import type { Images } from './requests.ts';
import { imageHandlers, type Users } from './routes.ts';

/** `users`: who starts kernels from images. */
export const imageCapability = (images: Images, users: () => Users) => ({
  name: 'images',
  routes: served(imageApi, imageHandlers(images, users)),
  checks: async () => (await import('./checks.ts')).imageChecks(),
});
