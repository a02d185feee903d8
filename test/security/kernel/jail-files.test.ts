/** What of the files of the host a program in the jail sees, and what it can write. A shell in the jail of a VMM tries. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../src/sys/process.ts';
import { busybox, callers, type Jail, jailsRun, openJail } from '../../support/jail.ts';
import { SUBIDS, USER } from '../../support/other-user.ts';
import { canServe, silentAround, silentMount } from '../../support/silent-mount.ts';

const hasAutomounters = readFileSync('/proc/filesystems', 'utf8').includes('\tautofs\n');
const COMES_AND_GOES =
  'const fs = require("node:fs"); for (;;) fs.mkdirSync(process.argv[1]), fs.rmdirSync(process.argv[1])';

describe.runIf(jailsRun).each(callers)('jail of $caller', (caller) => {
  const { files, isUser } = caller;
  let jail: Jail;
  beforeAll(async () => {
    jail = await openJail(caller);
  });
  afterAll(() => jail.close());

  it('sees owners as they are, and gives them where it has ids to give', async () => {
    const { volume, said } = jail;
    const [uid, given] = isUser ? [USER, SUBIDS.start + 999] : [0, 1000];
    const script =
      'cd /export/vol0; $B touch mine; $B chown 1000:1000 mine; $B stat -c "%u:%g" . mine; $B ls -ldn $R/etc | $B cut -c1-30';
    const told = (await said(script)).split('\n');
    expect(statSync(join(volume, 'mine')).uid).toBe(files ? given : uid);
    rmSync(join(volume, 'mine'));
    if (!files) expect(told.join('\n')).toMatch(/chown: .*Invalid argument/);
    expect(told).toContain('0:0');
    if (files) expect(told).toContain('1000:1000');
    // Root's foreground sees the machine with root's eyes; who is not root sees strangers' files as nobody's.
    const shadow = await said('$B cat $R/etc/shadow > /dev/null && echo read; $B stat -c %u $R/etc/shadow');
    expect(shadow).toMatch(!isUser ? /^read\n0\n/ : /^65534\n.*Permission denied/);
    const plain = await said('$B cat $R/etc/shadow', { root: { kind: 'host' } });
    expect(plain).toMatch(/Permission denied/);
  });

  it('has a file open for its VMM that not even its owner can change by that', async () => {
    const { volume, said } = jail;
    const path = join(volume, 'state');
    writeFileSync(path, 'state', { mode: 0o444 });
    if (isUser) chownSync(path, USER, USER);
    const script =
      'F=/proc/self/fd/6; $B cat <&6; $B chmod 666 $F; echo no > $F; $B touch -c $F; $B stat -L -c " %a" $F';
    const told = await said(script, { opened: { fd: 6, path: '/export/vol1/state' } });
    expect(told).toMatch(/^state 444\n/);
    expect(told.match(/Read-only file system|Permission denied/g)).toHaveLength(3);
    expect(statSync(path).mode & 0o777).toBe(0o444);
    rmSync(path);
  });

  it('shows no interface of the host kernel in a root or a volume that holds the whole machine', async () => {
    const { said } = jail;
    const told = await said('for d in root vol0; do $B ls /export/$d/proc /export/$d/sys; $B ls /export/$d; done', {
      root: { kind: 'directory', path: '/' },
      volumes: [{ source: '/', target: '/host', readOnly: false }],
      covers: [],
    });
    expect(told).toContain('usr\n');
    expect(told).not.toMatch(/^(self|kernel)$/m);
    // Nor in one that holds what a host root covers.
    const beside = await said('$B ls /export/vol0/proc /export/vol0/sys', {
      volumes: [{ source: '/', target: '/host', readOnly: true }],
    });
    expect(beside).toContain('/export/vol0/proc:');
    expect(beside).not.toMatch(/^(self|kernel)$/m);
  });

  it('covers an interface that is mounted on another one', async () => {
    const whole = { root: { kind: 'directory', path: '/' }, volumes: [], covers: [] } as const;
    const look = jail.insideArgv('/vmm/busybox ls /export/root/proc /export/root/usr', whole);
    const host = 'mount -t proc proc /proc && mount -t proc proc /proc && exec "$@"';
    const argv = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', host, 'sh', ...look];
    const { stdout } = await run(argv, { deadlineMs: 20_000 });
    expect(stdout).toContain('bin\n');
    expect(stdout).not.toMatch(/^self$/m);
  });

  it.runIf(hasAutomounters)(
    'asks no automounter of the host for names, which it would ask its network for',
    async () => {
      const { base, volume, insideArgv } = jail;
      const [place, under, log, program] = ['auto', 'under', 'asked', 'automounter'].map((name) => join(base, name));
      const inVolume = join(volume, 'auto');
      const source = join(import.meta.dirname, '../../fixtures/automounter.c');
      expect(await run(['musl-gcc', '-static', '-o', program!, source])).toMatchObject({ code: 0, stderr: '' });
      for (const path of [place!, under!, inVolume]) mkdirSync(path);
      const within = `R=/export/root; for d in "$R/$0/auto" "$R/$0/volume/auto" /export/vol0/auto /export/vol1/auto
      do B=/vmm/busybox; $B ls "$d/secret"; $B rmdir "$d"; done; $B ls "$R/$0/under"; echo ended`;
      const automounters = [place!, inVolume, under!].flatMap((path) => [program!, path, log!]);
      const onTop = ['sh', '-c', 'mount -t tmpfs none "$0" && touch "$0/mounted" && exec "$@"', under!];
      const inJail = insideArgv('', { program: ['/vmm/busybox', 'sh', '-c', within, base] });
      const argv = [...automounters, ...onTop, ...inJail];
      const ran = await run(['unshare', '-m', '--propagation', 'private', ...argv], { deadlineMs: 20_000 });
      expect(ran.stdout).toBe('mounted\nended\n');
      expect(readFileSync(log!, 'utf8')).toBe('itself\nitself\nitself\n');
      for (const path of [place!, inVolume]) expect(existsSync(path)).toBe(true);
      for (const path of [place!, under!, inVolume, log!]) rmSync(path, { recursive: true });
    },
  );

  it('is made although what it covers goes, as another daemon’s directory does, while it is made', async () => {
    const place = join(jail.base, 'goes');
    const coming = spawn(process.execPath, ['-e', COMES_AND_GOES, place], { stdio: 'ignore' });
    const change = { root: { kind: 'directory', path: '/' }, covers: [], own: [place] } as const;
    try {
      for (let round = 0; round < 20; round += 1) expect(await jail.said('echo made', change)).toBe('made\n');
    } finally {
      coming.kill();
      await once(coming, 'exit');
    }
  }, 60_000);

  it('covers an interface of the kernel however deep in a volume it lies', async () => {
    const { insideArgv, volume } = jail;
    const host = `cd "$0" && n=$(printf '%0250d' 0) && i=0
      while [ $i -lt 40 ]; do mkdir $n && cd $n || exit; i=$((i + 1)); done
      mount -i -t proc proc . || busybox mount -t proc proc . || exit; cd "$0"; "$@"`;
    const guest = '/vmm/busybox grep /0000 /proc/self/mountinfo | /vmm/busybox grep -c " covered "';
    const argv = ['unshare', '-m', '--propagation', 'private', 'bash', '-c', host, volume, ...insideArgv(guest, {})];
    const ended = await run(argv, { deadlineMs: 20_000 });
    await run(['rm', '-rf', join(volume, '0'.repeat(250))]);
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^[1-9]/) });
  });

  it('takes nothing else for what is mounted out of sight', async () => {
    const { insideArgv, volume } = jail;
    // Where all mounts come along, an interface lies below another mount; else a file system, in what was the volume.
    const [host, guest] = isUser
      ? [
          'mkdir proc && mount -t proc proc proc && mount -t tmpfs x "$0" && cd "$0" && mkdir proc && : > proc/kept',
          '/vmm/busybox ls /export/vol0/way/proc',
        ]
      : [
          'mkdir inner && mount -t tmpfs x inner && mount --bind "$0" "$0" && echo kept',
          '/vmm/busybox grep /export/vol0/inner /proc/self/mountinfo',
        ];
    const way = join(volume, 'way');
    mkdirSync(way);
    const script = `cd "$0" && ${host} || exit; cd /; "$@"`;
    const change = isUser ? {} : { volumes: [{ source: way, target: '/a', readOnly: false }] };
    const inside = insideArgv(guest, change);
    const argv = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, way, ...inside];
    const { stdout } = await run(argv, { deadlineMs: 20_000 });
    rmSync(way, { recursive: true, force: true });
    expect(stdout).toBe('kept\n');
  });

  it('cannot unmount what it is not shown by removing what that is mounted on', async () => {
    const { insideArgv, volume } = jail;
    const host = `mkdir "$0/way" && : > "$0/name" && mount -t proc proc "$0/way" && mount --bind /proc/version "$0/name" || exit
      "$@"; test -e "$0/way/self" && grep -q Linux "$0/name" && echo kept`;
    const guest = `cd /export/vol0; /vmm/busybox ls way; /vmm/busybox cat name
      /vmm/busybox rmdir way || echo no; /vmm/busybox rm name || echo no`;
    const argv = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', host, volume, ...insideArgv(guest, {})];
    const { stdout } = await run(argv, { deadlineMs: 20_000 });
    for (const name of ['way', 'name']) rmSync(join(volume, name), { recursive: true, force: true });
    expect(stdout).toBe('no\nno\nkept\n');
  });

  it.runIf(canServe())('is not kept from starting by what is mounted on the machine and does not answer', async () => {
    const { base, said } = jail;
    const mounts = [silentMount(base), await silentAround(base)];
    try {
      expect(await said('$B echo started')).toBe('started\n');
      // What must be covered, and cannot be, is not shown to those to whom all mounts come along.
      mounts.push(await silentAround(base, 'proc'));
      const told = await said('$B echo started');
      expect(told).toMatch(isUser ? /^pk-cell: refused: a file system in .* does not answer/ : /^started\n$/);
    } finally {
      for (const mount of mounts) mount.end();
    }
  });

  it('follows no symbolic link in roots and volumes: what a VMM opens lies where its guest looked', async () => {
    const { base, volume, said } = jail;
    symlinkSync('/proc', join(volume, 'way'));
    symlinkSync('/proc/version', join(volume, 'end'));
    mkdirSync(join(volume, 'real'));
    symlinkSync('volume/real', join(base, 'inner'));
    const script = `cd /export/vol0; $B readlink end; $B cat end; $B cat way/version; $B cat /export/vol1/end; $B ls -d real;
      cd "$R/${base.replaceAll(/["$]/g, '\\$&')}"; $B readlink inner; $B ls inner/`;
    const told = (await said(script)).split('\n').filter(Boolean);
    for (const name of ['end', 'way', 'real']) rmSync(join(volume, name), { recursive: true });
    rmSync(join(base, 'inner'));
    const refused = told.filter((each) => /Symbolic link loop|Too many levels/.test(each));
    expect(told.filter((each) => !refused.includes(each))).toEqual(['/proc/version', 'real', 'volume/real']);
    expect(refused).toHaveLength(4);
  });

  it('shows what is its own empty in whatever holds it, and where a link stands in its place shows nothing', async () => {
    const { base, hidden, said } = jail;
    const link = join(base, 'link');
    symlinkSync('hidden', link);
    const told = await said('$B ls /export/root/hidden; $B ls /export/vol0; $B ls /export/vol0/hidden', {
      root: { kind: 'directory', path: base },
      volumes: [{ source: base, target: '/base', readOnly: false }],
      covers: [],
      own: [hidden, join(base, 'never made'), link],
    });
    rmSync(link);
    expect(told).toContain('volume\n');
    expect(told).not.toContain('secret');
  });

  it('lets files become set-uid where that was asked for', async () => {
    const { volume, said } = jail;
    const volumes = [{ source: volume, target: '/a', readOnly: false, maySetId: true }];
    expect(await said('cd /export/vol0; $B touch s; $B chmod 4755 s; $B stat -c %a s', { volumes })).toBe('4755\n');
    rmSync(join(volume, 's'));
  });

  it('does not start when a volume is not what it was, and says so', async () => {
    const { base, volume, inside } = jail;
    const place = join(base, 'open place');
    mkdirSync(place);
    chmodSync(place, 0o777);
    const given = join(place, 'given');
    mkdirSync(given);
    const owner = isUser ? USER : 0;
    chownSync(given, owner, owner);
    const seen = { path: given, uid: owner, inode: String(statSync(given, { bigint: true }).ino) };
    const volumes = [{ source: given, target: '/a', readOnly: false, seen }];
    expect(await inside('exit 0', { volumes })).toMatchObject({ code: 0 });
    // Another directory, where others can write.
    renameSync(given, `${given}.old`);
    mkdirSync(given);
    chownSync(given, owner, owner);
    expect(await inside('exit 0', { volumes })).toMatchObject({
      code: 125,
      stderr: expect.stringContaining('refused'),
    });
    // The same below directories that only we can write.
    if (!isUser) {
      chmodSync(place, 0o755);
      const sheltered = mkdtempSync('/root/pk-sheltered-');
      mkdirSync(join(sheltered, 'v'));
      const moved = [{ ...volumes[0]!, seen: { path: join(sheltered, 'v'), uid: 0, inode: '1' } }];
      expect(await inside('exit 0', { volumes: moved })).toMatchObject({ code: 0 });
      rmSync(sheltered, { recursive: true });
    }
    chownSync(given, 12_345, 12_345);
    expect(await inside('exit 0', { volumes })).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/belongs to user 12345 now/),
    });
    rmSync(given, { recursive: true });
    symlinkSync(volume, given);
    expect(await inside('exit 0', { volumes })).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/symbolic link now/),
    });
    rmSync(place, { recursive: true });
  });

  it('shows a directory below a cover only while it is the one that was given', async () => {
    const { base, hidden, inside } = jail;
    const place = join(base, 'shared place');
    mkdirSync(place);
    chmodSync(place, 0o777);
    const given = join(place, 'given');
    mkdirSync(given);
    const owner = isUser ? USER : 0;
    chownSync(given, owner, owner);
    writeFileSync(join(given, 'own'), '');
    const seen = { path: given, uid: owner, inode: String(statSync(given, { bigint: true }).ino) };
    const script = `/vmm/busybox ls "/export/root$GIVEN"`;
    const look = () => inside(`GIVEN='${given.replaceAll("'", "'\\''")}'; ${script}`, { uncovered: [seen] });
    expect(await look()).toMatchObject({ code: 0, stdout: 'own\n' });
    renameSync(given, `${given}.old`);
    symlinkSync(hidden, given);
    expect(await look()).toMatchObject({ code: 125, stderr: expect.stringMatching(/symbolic link now/) });
    rmSync(place, { recursive: true });
  });

  it('leaves no mount, and shows none that is made later', async () => {
    const { base, inside, said } = jail;
    const before = (await run(['cat', '/proc/self/mountinfo'])).stdout;
    await inside('exit 0');
    expect((await run(['cat', '/proc/self/mountinfo'])).stdout).toBe(before);
    expect(readdirSync(join(base, 'run dir', 'trees'))).toEqual([]);
    expect(await said('$B grep -c shared: /proc/self/mountinfo; $B grep -c master: /proc/self/mountinfo')).toBe(
      '0\n0\n',
    );
  });

  it('sees an almost empty root', async () => {
    const { volume, said } = jail;
    expect((await said('$B ls /')).split('\n').filter(Boolean)).toEqual(['dev', 'export', 'proc', 'tmp', 'vmm'].sort());
    const disk = await said('$B ls /export; $B ls /dev', { root: { kind: 'directory', path: volume } });
    expect(disk).not.toMatch(/vda|sda|kvm|mem$/m);
  });

  it('cannot see control sockets, kernel interfaces and hidden directories', async () => {
    const { hidden, said } = jail;
    expect(
      await said(`for d in run proc sys dev; do $B ls -A $R/$d; done; $B ls -A "$R/${hidden.replaceAll('$', '\\$')}"`),
    ).toBe('');
  });

  it('cannot write anywhere on the host', async () => {
    const { volume, said } = jail;
    const mounts = await said('$B cat /proc/self/mountinfo');
    // What lies below another mount at the same place cannot be reached: the last one counts.
    const reachable = new Map(
      mounts
        .split('\n')
        .filter(Boolean)
        .map((line) => [line.split(' ')[4]!, line.split(' ')[5]!]),
    );
    const writable = [...reachable].filter(([, options]) => !/(^|,)ro(,|$)/.test(options)).map(([path]) => path);
    // In /dev these are single device nodes, and the bounded /dev/shm.
    const own = [
      '/dev/null',
      '/dev/zero',
      '/dev/full',
      '/dev/random',
      '/dev/urandom',
      '/dev/tty',
      '/dev/shm',
      '/tmp',
      '/export/vol0',
    ];
    const outside = writable.filter(
      (path) => !own.some((allowed) => path === allowed || path.startsWith(`${allowed}/`)),
    );
    // A cover over a directory hides what was mounted in it.
    expect(outside.filter((path) => !/^\/export\/root\/(dev|proc|sys|run)\//.test(path))).toEqual([]);
    for (const path of [
      '/x',
      '/vmm/x',
      '/export/x',
      '$R/tmp/x',
      '$R/x',
      '/export/vol1/x',
      '$R/proc/x',
      '/proc/sys/kernel/core_pattern',
    ]) {
      expect(await said(`echo no > "${path}"`), path).toMatch(/Read-only|Permission denied|nonexistent|can't create/);
    }
    expect(await said('echo yes > /export/vol0/x && $B cat /export/vol1/x')).toBe('yes\n');
    expect(readdirSync(volume)).toEqual(['x']);
    rmSync(join(volume, 'x'));
  });

  it('runs no file of the host, to which nobody could write meanwhile, and its own', async () => {
    const { volume, said } = jail;
    const program = join(volume, 'busybox');
    copyFileSync(busybox!, program);
    chmodSync(program, 0o755);
    const script = (name: string) =>
      `$B printf '#!${name} sh\\necho interpreted\\n' > /tmp/s; $B chmod 755 /tmp/s; /tmp/s;`;
    const told = await said(
      `for d in vol0 vol1; do /export/$d/busybox echo ran; done; ${script('/export/vol1/busybox')} ${script('/vmm/busybox')}
       $B cp $B /tmp/busybox; /tmp/busybox echo own; $B test -x /export/vol1/busybox && echo may`,
    );
    expect(told.match(/Permission denied/g)).toHaveLength(3);
    // A VMM that serves files is asked by its guest whether it may run them.
    expect(told.match(/^(ran|interpreted|own|may)$/gm)).toEqual(['interpreted', 'own', 'may']);
    rmSync(program);
  });

  it('reads nothing of /proc but what the processors can do, for who reads there has locks of all of the host', async () => {
    const { base, said } = jail;
    writeFileSync(join(base, 'shown'), 'shown\n', { mode: 0o644 });
    const files = [
      'locks',
      'misc',
      'consoles',
      'tty/drivers',
      'pressure/cpu',
      'self/mountinfo',
      'self/cgroup',
      '1/stat',
    ];
    const script = files.map((name) => `$B cat /proc/${name}`).join('; ');
    // Not there is as good as refused.
    const refused = (text: string) => text.match(/Permission denied|No such file/g) ?? [];
    const told = await said(script, { mayReadProc: false });
    expect(refused(told), told).toHaveLength(files.length);
    expect(told.trim().split('\n'), told).toHaveLength(files.length);
    const own = `$B grep -c ^processor /proc/cpuinfo; $B ls /proc/self/fd > /dev/null && echo names;
      $B cat "/export/root${base.replaceAll('$', '\\$')}/shown"; echo own > /tmp/x; $B cat /tmp/x; echo kept > /dev/shm/y; $B cat /dev/shm/y;
      echo given > /export/vol0/z; $B cat /export/vol1/z; $B rm /export/vol0/z; $B head -c 1 /dev/zero | $B wc -c`;
    expect(await said(own, { mayReadProc: false })).toMatch(/^\d+\nnames\nshown\nown\nkept\ngiven\n1\n$/);
  });

  it('has no terminals, for who opens one has a lock of all of the host', async () => {
    const { said } = jail;
    expect(await said('$B ls -A /dev/pts; echo x > /dev/pts/x; echo x > /dev/ptmx; $B ls -A /dev/pts')).toMatch(
      /^(.*\/dev\/p\w+.*(Read-only file system|nonexistent directory)\n){2}$/,
    );
  });

  it('writes into no FIFO of the host but in its volumes, and renames and links there', async () => {
    const { base, volume, said } = jail;
    const fifo = join(base, 'fifo');
    const own = join(volume, 'fifo');
    for (const path of [fifo, own]) expect(await run(['mkfifo', '-m', '666', path])).toMatchObject({ code: 0 });
    chmodSync(fifo, 0o666);
    chmodSync(own, 0o666);
    const root = `"/export/root$FIFO"`;
    const tell = `FIFO='${fifo.replaceAll("'", "'\\''")}'; `;
    expect(await said(`${tell}$B test -p ${root} && echo there; echo x 1<> ${root}`)).toMatch(
      /^there\n.*Permission denied/,
    );
    expect(await said('(echo x >&7; $B head -c 2 <&7) 7<> /export/vol0/fifo')).toBe('x\n');
    const moves =
      'cd /export/vol0; $B mkdir a b; echo x > a/f; $B mv a/f b/g; $B ln b/g a/h; $B cat a/h; $B rm -r a b fifo';
    expect(await said(moves)).toBe('x\n');
    rmSync(fifo);
  });
});
