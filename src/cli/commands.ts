/** What commands are about, in the order in which help shows them. Loaded when used, since start-up time is felt. */
import type { Command, Loaders } from './kit/command.ts';

export const NOUNS: Readonly<Record<string, () => Promise<{ COMMANDS: Loaders }>>> = {
  instance: () => import('./instance/index.ts'),
  topology: () => import('./topology/index.ts'),
  pci: () => import('./pci/index.ts'),
  sriov: () => import('./sriov/index.ts'),
  device: () => import('./device/index.ts'),
  pool: () => import('./pool/index.ts'),
  kerf: () => import('./kerf/index.ts'),
  stack: () => import('./stack/index.ts'),
  machine: () => import('./machine/index.ts'),
  channel: () => import('./channel/index.ts'),
  service: () => import('./service/index.ts'),
  health: () => import('./health/index.ts'),
  containment: () => import('./containment/index.ts'),
  evidence: () => import('./evidence/index.ts'),
  heal: () => import('./heal/index.ts'),
  balance: () => import('./balance/index.ts'),
  upgrade: () => import('./upgrade/index.ts'),
  image: () => import('./image/index.ts'),
  devicetree: () => import('./devicetree/index.ts'),
  daemon: () => import('./daemon/index.ts'),
};

/** The command `name`, which `noun` lists. */
export async function loadCommand(noun: string, name: string): Promise<Command> {
  const { COMMANDS } = await NOUNS[noun]!();
  return (await COMMANDS[name]!()).command;
}
