export { type GuestIdentity, type GuestRoot, rootOps } from './boot.ts';
export { type BootModule, buildInitramfs, guestEntries, type InitramfsEntry, MODULE_DIRECTORY } from './initramfs.ts';
export { type ExecRequest, type FoundSession, GuestLink, type GuestLinkOptions } from './link.ts';
export type { GuestHello, Snapshot } from './messages.ts';
export { errnoText, type GuestExit, GuestProcess } from './process.ts';
export * as protocol from './protocol.ts';
