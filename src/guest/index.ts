export { type Held, holdMemory } from './balloon.ts';
export {
  feedWatchdog,
  forgetRegion,
  type GuestIdentity,
  type GuestRegion,
  type GuestRoot,
  inodesMost,
  type KnownModules,
  type KnownRoot,
  networkSteps,
  rootOps,
  showRegion,
  tellFunctions,
  tellSize,
  workersFirst,
} from './boot.ts';
export type { ExecRequest } from './exec.ts';
export {
  type BootModule,
  buildInitramfs,
  type GuestPrograms,
  guestEntries,
  type InitramfsEntry,
  MODULE_DIRECTORY,
} from './initramfs.ts';
export { GuestLink } from './link.ts';
export type { GuestLinkOptions } from './link-options.ts';
export { isLineMemory, LineMemory, lineMemoryBytes } from './memory.ts';
export { type GuestHello, type Snapshot, TROUBLES, type Trouble } from './messages.ts';
export { type Counts, errnoText, type GuestExit, GuestProcess } from './process.ts';
export * as protocol from './protocol.ts';
export { MAX_CHANNELS, type Pair } from './protocol.ts';
export { readShortFile, type ShortFileGuest } from './read-short.ts';
export type { FoundSession } from './sessions.ts';
export { type ClockLag, moveClock } from './wall-clock.ts';
