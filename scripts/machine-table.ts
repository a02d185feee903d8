/** What programs find on a guest's machine, by driver: docs/run.md has it as a table, and test/kernel/machine.test.ts tries each row. */
import { tableOf, withMarked } from './marked.ts';
import { textOf, type VolumeRow } from './volume-table.ts';

/** As root, in test/fixtures/machine.c. */
export const MACHINE: readonly VolumeRow[] = [
  { name: 'address-space-some', operation: 'address space of 128 GiB in one piece', uml: 'yes', qemu: 'yes' },
  {
    name: 'address-space',
    operation: 'address space of 8 TiB in one piece, as MariaDB, ZGC and AddressSanitizer set aside',
    uml: { outcome: 'no', text: 'no: a process has 512 GiB' },
    qemu: 'yes',
    instead: 'qemu; `mariadbd --innodb-buffer-pool-size-max=1G`, another collector',
  },
  { name: '32-bits', operation: 'programs of 32 bits (i386)', uml: 'no', qemu: 'yes', instead: 'qemu' },
  { name: 'landlock', operation: 'Landlock', uml: 'no', qemu: 'yes', instead: 'qemu; seccomp, namespaces (`bwrap`)' },
  {
    name: 'software-events',
    operation: '`perf` by what the kernel counts',
    uml: 'no',
    qemu: 'yes',
    instead: 'qemu; `strace -c`, `gdb`',
  },
  {
    name: 'hardware-events',
    operation: '`perf` by counters of the processor',
    uml: 'no',
    qemu: 'no',
    instead: 'the host',
  },
  { name: 'time-namespaces', operation: '`unshare --time`', uml: 'no', qemu: 'yes', instead: 'qemu; `faketime`' },
  {
    name: 'huge-pages',
    operation: 'huge pages (`vm.nr_hugepages`, then `MAP_HUGETLB`)',
    uml: 'no',
    qemu: 'yes',
    instead: 'qemu; ordinary pages',
  },
  { name: 'hardware-clock', operation: '`hwclock`', uml: 'no', qemu: 'yes', instead: '`date`: it is kept right' },
  { name: 'io-uring', operation: 'io_uring', uml: 'yes', qemu: 'yes' },
  { name: 'bpf', operation: '`bpf`', uml: 'yes', qemu: 'yes' },
  { name: 'keys', operation: 'keys kept in the kernel', uml: 'yes', qemu: 'yes' },
  { name: 'userfaultfd', operation: '`userfaultfd`', uml: 'yes', qemu: 'yes' },
  { name: 'memory-files', operation: '`memfd_create`', uml: 'yes', qemu: 'yes' },
];

/** `page` with the table between its marks renewed. */
export function withMachineTable(page: string): string {
  const rows = MACHINE.map(({ operation, uml, qemu, instead = '' }) => [operation, textOf(uml), textOf(qemu), instead]);
  return withMarked(page, 'machine', tableOf(['a program finds', 'uml', 'qemu', 'what to use instead'], rows));
}
