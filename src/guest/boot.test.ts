import { describe, expect, it } from 'vitest';
import { identityOps, type KnownModules, networkSteps, rootOps } from './boot.ts';

const base = {
  exportMount: { fstype: '9p', source: 'export', data: 'trans=virtio' },
  root: 'export' as const,
  volumes: [],
  hostname: 'web',
  machineId: 'ab'.repeat(16),
  seed: Buffer.alloc(32, 0xcd),
  modules: [],
};
const shown = (input: Parameters<typeof rootOps>[0]) =>
  rootOps(input).map(([key, value]) => `${key} ${value.replaceAll('\x1f', '|')}`);

describe('rootOps', () => {
  it('lays a scratch layer over the share', () => {
    expect(shown({ ...base, timeMs: 1_700_000_000_123.456, modules: ['/lib/modules/overlay.ko'] })).toEqual([
      'time 1700000000.123456000',
      `seed ${'cd'.repeat(32)}`,
      'hostname web',
      'module /lib/modules/overlay.ko',
      'mount 9p|export|/.pk/export||trans=virtio',
      'mount tmpfs|scratch|/.pk/scratch||mode=0755',
      'etc-room /.pk/export/root|/.pk/scratch/upper',
      'mkdir /.pk/scratch/work',
      'write /.pk/scratch/upper/etc/hostname|web\n',
      `write /.pk/scratch/upper/etc/machine-id|${'ab'.repeat(16)}\n`,
      'own-name /.pk/export/root|/.pk/scratch/upper/etc/hosts|web',
      'mount overlay|root|/newroot||lowerdir=/.pk/export/root,upperdir=/.pk/scratch/upper,workdir=/.pk/scratch/work,redirect_dir=on',
      'switch-root /newroot',
      'mkdir /tmp|1777',
      'mount ||/|rec,shared|',
    ]);
  });

  it('gives root the directories of everybody, before the overlay would have to copy them', () => {
    const ops = shown({ ...base, temporary: ['/tmp', '/var/tmp'] });
    const made = ['mkdir /.pk/scratch/upper/tmp|1777', 'mkdir /.pk/scratch/upper/var/tmp|1777'];
    const first = ops.indexOf(made[0]!);
    expect(ops.slice(first, first + 2)).toEqual(made);
    expect(first).toBeLessThan(ops.findIndex((op) => op.startsWith('mount overlay')));
  });

  it('has a name in the scratch layer for each 2 KiB of memory', () => {
    expect(shown({ ...base, memoryBytes: 2 ** 28 })).toContain(
      'mount tmpfs|scratch|/.pk/scratch||mode=0755,nr_inodes=131072',
    );
  });

  it('mounts a block device read-only, without replaying a journal', () => {
    const ops = shown({ ...base, exportMount: undefined, root: { blockDevice: '/dev/vda', fstype: 'ext4' } });
    expect(ops).toContain('mount ext4|/dev/vda|/.pk/lower|ro|noload');
    expect(ops.join('\n')).not.toContain('/.pk/export');
    expect(shown({ ...base, root: { blockDevice: '/dev/ubda', fstype: 'squashfs' } })).toContain(
      'mount squashfs|/dev/ubda|/.pk/lower|ro|',
    );
  });

  it('makes room for modules below the overlay, and shows them before volumes', () => {
    const volumes = [{ index: 0, target: '/lib/modules', readOnly: true }];
    const ops = shown({ ...base, volumes, modulesOf: '6.1.0' });
    const at = (step: string) => ops.findIndex((op) => op.startsWith(step));
    expect(ops).toContain('modules-room /.pk/export/root|/.pk/scratch/upper|6.1.0');
    expect(ops).toContain('modules /.pk/export/modules|6.1.0');
    const order = ['modules-room', 'mount overlay', 'switch-root', 'modules ', 'mount |/.pk/export/vol0'].map(at);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });

  it('makes the room that is known of without a look, and shows nothing where modules are', () => {
    const volumes = [{ index: 0, target: '/lib/modules', readOnly: true }];
    const room = (modes: number[]) =>
      ['usr', 'usr/lib', 'usr/lib/modules', 'usr/lib/modules/6.1.0'].map((path, at) => ({
        path,
        mode: modes[at] ?? 0o755,
      }));
    const given = (room: KnownModules['room'], hasLoader = true) =>
      shown({ ...base, volumes, modulesOf: '6.1.0', known: { modules: { room, hasLoader } } });
    const made = (ops: string[]) => ops.filter((op) => op.includes('usr'));
    expect(made(given(room([])))).toEqual([
      'mkdir /.pk/scratch/upper/usr/lib/modules/6.1.0|755',
      'mount |/.pk/export/modules|/usr/lib/modules/6.1.0|bind,ro,nosuid,nodev|',
    ]);
    expect(made(given(room([0o750])))).toHaveLength(3);
    expect(made(given(room([0o750])))[0]).toBe('mkdir /.pk/scratch/upper/usr|750');
    expect(given([]).join('\n')).not.toContain('modules/6.1.0');
    expect(given(room([])).join('\n')).not.toMatch(/modules-room|lend-modprobe/);
    for (const each of [[], room([])]) expect(given(each, false)).toContain('lend-modprobe ');
  });

  it.each([
    ['', '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 web\n'],
    ['127.0.0.1 localhost', '127.0.0.1 localhost\n127.0.1.1 web\n'],
    ['127.0.0.1\tlocalhost web # b\n', undefined],
    ['127.0.0.1 localhost\n# 10.0.0.1 web\n10.0.0.2 x web#y\n', undefined],
    ['127.0.0.1 localhost\nweb\n', '127.0.0.1 localhost\nweb\n127.0.1.1 web\n'],
  ])('adds to known hosts %j the names that they lack', (hosts, text) => {
    const step = shown({ ...base, known: { hosts } }).filter((op) => op.includes('/etc/hosts'));
    expect(step).toEqual(text === undefined ? [] : [`write /.pk/scratch/upper/etc/hosts|${text}`]);
  });

  it('gives a machine its whole name and its short one', () => {
    const steps = shown({ ...base, hostname: 'web.example.org', known: { hosts: '127.0.0.1 localhost\n' } });
    expect(steps.join()).toContain('\n127.0.1.1 web.example.org web\n');
  });

  it('shares all mounts with namespaces that are made later, as machines do, once they are there', () => {
    const volumes = [{ index: 0, target: '/data', readOnly: false }];
    expect(shown({ ...base, volumes }).at(-1)).toBe('mount ||/|rec,shared|');
  });

  it('binds volumes inside the new root, so links in their paths resolve there', () => {
    const ops = shown({
      ...base,
      volumes: [
        { index: 0, target: '/data', readOnly: false },
        { index: 1, target: '/etc/x', readOnly: true },
      ],
    });
    const after = ops.slice(ops.indexOf('switch-root /newroot'));
    expect(after).toContain('mount |/.pk/export/vol0|/data|bind|');
    expect(after).toContain('mount |/.pk/export/vol1|/etc/x|bind,ro|');
  });

  it('finds volumes by a mount of their own where there is one, also without another one of the share', () => {
    const volumesMount = { fstype: '9p', source: 'volumes', data: 'trans=virtio,cache=mmap' };
    const volumes = [{ index: 0, target: '/data', readOnly: false }];
    const root = { blockDevice: '/dev/vda', fstype: 'ext4' };
    const ops = shown({ ...base, exportMount: undefined, volumesMount, root, volumes });
    expect(ops).toContain('mount 9p|volumes|/.pk/volumes||trans=virtio,cache=mmap');
    expect(ops).toContain('mount |/.pk/volumes/vol0|/data|bind|');
  });

  it('has writable volumes served with true owners where the share knows none', () => {
    const ops = shown({
      ...base,
      sharePath: '/export',
      volumes: [
        { index: 0, target: '/data', readOnly: false },
        { index: 1, target: '/etc/x', readOnly: true },
      ],
    });
    expect(ops).toContain('share /.pk/export/vol0|/export/vol0|/data');
    expect(ops).toContain('mount |/.pk/export/vol1|/etc/x|bind,ro|');
  });

  it('lets a root of its own keep the directories of its /run, which lie below ours', () => {
    const ops = shown({ ...base, keepsRun: true });
    expect(ops[ops.indexOf('switch-root /newroot') - 1]).toBe('run-directories /newroot/run');
    expect(shown(base).join()).not.toContain('run-directories');
  });

  it.each(['/', 'data', '/a/../../b', '/a\x1fb'])('refuses the volume target %j', (target) => {
    expect(() => rootOps({ ...base, volumes: [{ index: 0, target, readOnly: false }] })).toThrow(
      'a volume cannot be mounted at',
    );
  });

  it('needs the share for a root or volumes on it', () => {
    expect(() => rootOps({ ...base, exportMount: undefined })).toThrow('without a share');
  });
});

it('writes no file of a volume for the network', () => {
  const port = { address: '10.213.0.2', netmask: '255.255.0.0' };
  const wayOut = { gateway: '10.213.0.1', resolvConf: null };
  expect(networkSteps('eth0', { port, hosts: null, wayOut }).map(([key]) => key)).toEqual(['address']);
  const [, ...files] = networkSteps('eth0', { port, hosts: 'h', wayOut: { ...wayOut, resolvConf: 'r' } });
  expect(files).toEqual([
    ['write', '/etc/hosts\x1fh'],
    ['write', '/etc/resolv.conf\x1fr'],
  ]);
});

it('identityOps writes seconds with nine decimals', () => {
  expect(identityOps({ ...base, timeMs: 1_000.001 })).toContainEqual(['time', '1.000001000']);
});
