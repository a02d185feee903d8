/** What QEMU needs of a machine, for doctor and before a start. */
import { accessSync, constants, existsSync } from 'node:fs';
import { type Check, programCheck, toolCheck } from '../../core/check.ts';
import { QEMU } from './traits.ts';

export const qemuChecks = (): Check[] => [
  toolCheck('qemu', 'qemu-system-x86_64', 'QEMU is installed'),
  programCheck('qemu-parts', 'QEMU can be cloned and keeps time', { natives: ['pk-ram.so', 'pk-tsc'] }),
  kvmCheck(kvmAccess(), process.getuid?.() ?? -1),
  tapCheck(),
];

type KvmAccess = 'absent' | 'denied' | 'accessible';

export function kvmAccess(path = '/dev/kvm'): KvmAccess {
  if (!existsSync(path)) return 'absent';
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return 'accessible';
  } catch {
    return 'denied';
  }
}

export function kvmCheck(kvm: KvmAccess, uid: number): Check {
  if (kvm === 'accessible') {
    const summary = '/dev/kvm is there and may be opened; whether it works shows when a guest starts';
    return { id: 'kvm', status: 'ok', summary };
  }
  if (kvm === 'denied') {
    const hint = `As root: usermod -aG kvm "$(id -un ${uid})", then log in again.`;
    return {
      id: 'kvm',
      status: 'warn',
      summary: '/dev/kvm is there, but you may not open it: QEMU emulates, slowly',
      hint,
    };
  }
  const hint =
    'Switch virtualisation on in the firmware, or nested virtualisation in the hypervisor; then `modprobe kvm_intel` or `kvm_amd`.';
  return { id: 'kvm', status: 'warn', summary: 'there is no /dev/kvm: QEMU emulates, slowly', hint };
}

function tapCheck(): Check {
  const obstacle = tapObstacle();
  if (obstacle === null) return { id: 'tap', status: 'ok', summary: 'QEMU can be given network cards' };
  return { id: 'tap', status: 'warn', summary: obstacle.reason, hint: obstacle.hint };
}

/** Why a VMM could get no tap in a network; null when nothing speaks against it. */
export function tapObstacle(device = '/dev/net/tun'): { reason: string; hint: string } | null {
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      return {
        reason: `the network card of QEMU needs ${device}, and there is none`,
        hint: `As root: modprobe tun. Or use --driver ${QEMU.instead}.`,
      };
    return {
      reason: `the network card of QEMU needs ${device}, which this user may not open`,
      hint: `As root: chmod 0666 ${device}. Or use --driver ${QEMU.instead}.`,
    };
  }
}
