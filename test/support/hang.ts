/**
 * For a guest's shell, as root: nothing answers in its kernel any more. A real-time task keeps its CPU, and Linux 6.12's server that lets
 * others run beside it is stopped; where that cannot be (User Mode Linux has no debugfs), the agent is frozen (native/trial/fault.c).
 */
export const HANG = [
  'echo -1 > /proc/sys/kernel/sched_rt_runtime_us',
  'mount -t debugfs none /sys/kernel/debug 2> /dev/null',
  'for of in /sys/kernel/debug/sched/fair_server/cpu*/runtime; do test ! -e $of || echo 0 > $of; done',
  'mkdir /sys/fs/cgroup/hang',
  'echo 1 > /sys/fs/cgroup/hang/cgroup.procs',
  'echo 1 > /sys/fs/cgroup/hang/cgroup.freeze',
  "exec chrt -f 99 sh -c 'while :; do :; done'",
].join('; ');
