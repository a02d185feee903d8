/** Which threads of a launch of QEMU are vCPUs. */
import { type HostThread, isInner, type LaunchThreads, mainProcess } from '../shim/launch-threads.ts';

/**
 * Told apart by name: QEMU with debug-threads=on calls a vCPU's thread `CPU 0/KVM` or `CPU 0/TCG`. One that was taken over calls them as
 * it likes, so there are no more vCPUs than threads.
 */
export function qemuThreads(threads: readonly HostThread[]): LaunchThreads {
  const found = threads.map(({ tid, name, jailPid }) => {
    const match = isInner(jailPid) ? /^CPU (\d{1,4})\//.exec(name) : null;
    const vcpu = match === null ? -1 : Number(match[1]);
    return { tid, vcpu: vcpu < threads.length ? vcpu : -1 };
  });
  const tidsOf = (wanted: number) => found.filter(({ vcpu }) => vcpu === wanted).map(({ tid }) => tid);
  const count = Math.max(-1, ...found.map(({ vcpu }) => vcpu)) + 1;
  return {
    vcpus: Array.from({ length: count }, (_, vcpu) => tidsOf(vcpu)),
    others: tidsOf(-1),
    vmm: mainProcess(threads),
  };
}
