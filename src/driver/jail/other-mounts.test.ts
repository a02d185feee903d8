import { describe, expect, it } from 'vitest';
import { kernelInterfaces, otherPlaces, parseMounts } from './other-mounts.ts';

const mounts = parseMounts(`
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /proc rw - proc proc rw
23 21 0:21 / /run rw - tmpfs tmpfs rw
24 21 8:2 / /home rw - ext4 /dev/sda2 rw
25 21 0:22 / /srv/chroot/proc rw - proc proc rw
26 21 0:21 / /srv/chroot/run rw - tmpfs tmpfs rw
27 21 0:21 /docker /srv/a\\040b rw - tmpfs tmpfs rw
28 21 8:1 / /mnt/all rw - ext4 /dev/sda1 rw
29 21 8:1 /var/lib/pk/instances /mnt/part rw - ext4 /dev/sda1 rw
30 21 8:1 /etc /mnt/etc rw - ext4 /dev/sda1 rw
31 21 0:4 net:[4026532] /run/netns/a rw - nsfs nsfs rw
32 21 0:40 / /net rw - autofs -hosts rw
33 21 0:41 / /boot rw - autofs systemd-1 rw
34 33 8:3 / /boot rw - vfat /dev/sda3 rw
nonsense
`);

describe('otherPlaces', () => {
  it('names every mount that shows what is hidden, as a whole or in part', () => {
    expect(otherPlaces(['/run', '/var/lib/pk', '/tmp'], mounts)).toEqual([
      '/srv/chroot/run',
      '/srv/a b',
      '/mnt/all/var/lib/pk',
      '/mnt/part',
      '/mnt/all/tmp',
    ]);
    expect(otherPlaces(['/home/me/.pk'], mounts)).toEqual([]);
    expect(kernelInterfaces(mounts)).toEqual(['/proc', '/srv/chroot/proc', '/net']);
  });
});
