/**
 * For a guest's shell: a real-time task keeps its CPU to itself from then on. Linux 6.12 has a server that lets others run beside it
 * (native/trial/fault.c).
 */
export const RULE_ALONE = [
  'echo -1 > /proc/sys/kernel/sched_rt_runtime_us',
  'mount -t debugfs none /sys/kernel/debug 2> /dev/null',
  'for of in /sys/kernel/debug/sched/fair_server/cpu*/runtime; do test ! -e $of || echo 0 > $of; done',
].join('; ');
