/** The machine as data: reading it, checking it, asking it. Public as `polykernel/topology`. */
export { type Interrupt, readInterrupts } from './interrupts.ts';
export { parseTopology } from './parse.ts';
export { comparePciAddresses, isPciAddress, normalizePciAddress } from './pci-address.ts';
export { readTopology } from './read.ts';
export { cpusByCore, dataCaches, l3ByCpu, nodeById, siblingsOf } from './select.ts';
export { summarize } from './summary.ts';
export type * from './topology.ts';
