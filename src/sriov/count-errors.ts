/** Why the kernel did not change the number of virtual functions, and what helps. Pure. */
import { PolykernelError } from '../sys/errors.ts';

interface Words {
  code: ConstructorParameters<typeof PolykernelError>[0];
  why: string;
  hint: string;
}

/** By the errors of sriov_numvfs_store and of pci_enable_sriov (drivers/pci in Linux). */
const WORDS: Readonly<Record<string, Words>> = {
  EBUSY: {
    code: 'conflict',
    why: 'another number is set already, by somebody else',
    hint: 'See `pk sriov ls`, and disable them first.',
  },
  ENOENT: {
    code: 'unsupported',
    why: 'it has no driver, or one that makes no virtual functions',
    hint: 'Bind it to a driver that does: see `pk pci show` for the present one.',
  },
  ERANGE: { code: 'invalid', why: 'its driver allows fewer', hint: 'See `pk sriov ls` for the most there can be.' },
  ENOMEM: {
    code: 'unavailable',
    why: 'no addresses or bus numbers are left for them',
    hint: 'Switch SR-IOV and addresses above 4G on in the firmware, or boot with pci=realloc or pci=assign-busses.',
  },
  EIO: {
    code: 'unavailable',
    why: 'what it says of its virtual functions contradicts itself',
    hint: 'Update its firmware.',
  },
  ENOSYS: {
    code: 'unsupported',
    why: 'the kernel is built without SR-IOV (CONFIG_PCI_IOV)',
    hint: 'Use another kernel.',
  },
  EROFS: { code: 'permission', why: '/sys is read-only here', hint: 'Run the daemon outside of that container.' },
  EACCES: { code: 'permission', why: 'only root may', hint: 'Run the daemon as root.' },
  EPERM: {
    code: 'permission',
    why: 'the kernel lets nobody, or only root',
    hint: 'Run the daemon as root, on a kernel that is not locked down (`cat /sys/kernel/security/lockdown`).',
  },
};

export function countError(address: string, count: number, code: string, cause: unknown): PolykernelError {
  const {
    code: kind,
    why,
    hint,
  } = WORDS[code] ?? {
    code: 'internal',
    why: `the kernel says ${code}`,
    hint: 'The end of `dmesg` says more.',
  };
  return new PolykernelError(kind, `${address} does not get ${count} virtual functions: ${why}`, {
    field: '--vfs',
    value: count,
    hint,
    cause,
  });
}
