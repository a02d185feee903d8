/** Kernel images and roots, as one thing that a daemon can do. */

export const imageCapability = () => ({
  name: 'images',
  checks: async () => (await import('./checks.ts')).imageChecks(),
});
