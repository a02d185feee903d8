#!/bin/sh
# sh enter.sh ROOT NAME COMMAND...: runs COMMAND with ROOT as /, in namespaces that `unshare --mount --pid --ipc --uts --fork` has
# made, so that all of its mounts and processes end with it. Of this machine it sees /dev, the control groups and the network.
set -eu
root=$1 name=$2
shift 2
mount --make-rprivate /
hostname "$name"
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mkdir "$root/run/old" "$root/run/lock"
cd "$root"
pivot_root . run/old
exec chroot . sh -c 'umount -l /run/old && rmdir /run/old && exec "$@"' enter "$@"
