/** Which threads of a launch of User Mode Linux are its CPU. */
import { type HostThread, isInner, type LaunchThreads, mainProcess } from '../shim/launch-threads.ts';

/** Whatever is in the jail and not the jail's own is the one CPU of the guest: its kernel, its processes, its helpers. */
export function umlThreads(threads: readonly HostThread[]): LaunchThreads {
  const inner = threads.filter(({ jailPid }) => isInner(jailPid));
  const others = threads.filter(({ jailPid }) => !isInner(jailPid));
  return {
    vcpus: [inner.map(({ tid }) => tid)],
    others: others.map(({ tid }) => tid),
    vmm: mainProcess(threads),
  };
}
