/** Device trees: sources, blobs, overlays. Public as `polykernel/devicetree`. */
export { decode } from './blob/decode.ts';
export { type EncodeOptions, encode, versionOf } from './blob/encode.ts';
export { diffTrees, type TreeChange } from './diff.ts';
export { applyOverlay } from './overlay/apply.ts';
export { type ParseOptions, parseDts } from './parse.ts';
export { printDts, propertyText } from './print.ts';
export { filesBelow, readRegular, type SourceFiles } from './source/files.ts';
export type { DeviceNode, DeviceProperty, DeviceTree, Reservation } from './tree.ts';
