/** Configuration spaces of PCI functions, decoded and behind a cache: `polykernel/pci`. */
export type { Access, Signal } from './access.ts';
export type { CachedFunction, Happening } from './cache/function.ts';
export type { Statistics } from './cache/statistics.ts';
export { type Decoded, type DecodedCapability, type DecodedRegister, decode } from './decode.ts';
export { errorsText, type FunctionHealth, linkText } from './health.ts';
export { type HostCache, readHostCache } from './host-cache.ts';
export { PciNames, readPciNames } from './names.ts';
export { type ConfigSpace, DEFAULT_BOUND_MS, type OpenOptions, openConfigSpace, silent } from './open.ts';
export type { FunctionFacts, Place } from './place.ts';
