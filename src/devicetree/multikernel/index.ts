/** Device trees of the multikernel patches: what is written to such a kernel, and what it says. */
export { baselineTree, firstBaselineTree } from './baseline.ts';
export { type FirstChange, firstOverlayTree } from './first-overlay.ts';
export { OVERLAY_BYTES, overlays } from './overlay.ts';
export { formatOf, readBaseline, readInstance, readPool } from './read.ts';
export { type Finding, validateMultikernel } from './validate.ts';
export * from './values.ts';
