/** `pk` as a new user meets it, on real kernels, each behaviour on every driver of this machine. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildInitramfs } from '../../src/guest/index.ts';
import { finished, PK, Sandbox, until } from '../support/pk.ts';

interface Row {
  spec: { name: string; driver: string };
  state: string;
  pid: number;
  bootId: string;
  restarts: number;
  exit: { reason: string; exitCode: number; message: string } | null;
}

describe.each(['uml', 'qemu'])('pk on %s', (driver) => {
  let sandbox: Sandbox;
  const run = (...args: string[]) => sandbox.pk(['run', '--driver', driver, ...args]);

  beforeAll(async () => {
    sandbox = await Sandbox.create();
  });
  afterAll(() => sandbox[Symbol.asyncDispose]());

  it('runs a command in a kernel of its own', async () => {
    const ran = await run('--', 'uname', '-r');
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    const host = await readFile('/proc/sys/kernel/osrelease', 'utf8');
    expect(ran.stdout).not.toBe(host);
    expect(ran.stdout).toMatch(/^6\./);
  });

  it('tells the kernel what is appended, and refuses by name what would undo its wiring', async () => {
    const ran = await run('--append', 'loglevel=7 panic_on_oops=1', '--', 'cat', '/proc/cmdline');
    expect(ran.stdout).toMatch(/ loglevel=7 panic_on_oops=1\b/);
    const refused = await run('--append', 'init=/bin/sh', '--', 'true');
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('"init=/bin/sh" is refused')]);
  });

  it("unpacks an initramfs of the user's before the agent's, so that it replaces nothing of that", async () => {
    const archive = join(sandbox.home, 'early.cpio');
    const init = { kind: 'file', path: 'init', mode: 0o755, content: Buffer.from('no program') } as const;
    await writeFile(archive, buildInitramfs([init]));
    const ran = await run('--initrd', archive, '--append', 'loglevel=7', '--', 'echo', 'ran');
    expect(ran).toMatchObject({ code: 0, stdout: 'ran\n' });
  });

  it('keeps the order of both outputs where they go to one file, as after 2>&1', async () => {
    const told = (...args: string[]) =>
      finished(
        spawn('sh', ['-c', 'exec "$@" 2>&1', 'sh', PK, ...args], {
          env: sandbox.env,
          stdio: ['ignore', 'pipe', 'pipe'],
        }),
      );
    const script = 'i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo out $i; echo error $i >&2; done';
    const inOrder = Array.from({ length: 300 }, (_, index) => `out ${index + 1}\nerror ${index + 1}\n`).join('');
    expect(await told('run', '--driver', driver, '-w', '/', '--', 'sh', '-c', script)).toMatchObject({
      stdout: inOrder,
    });
    await sandbox.ok('run', '-d', '--name', 'beside', '--driver', driver, '-w', '/', '--', 'sleep', '1000');
    expect(await told('exec', 'beside', 'sh', '-c', script)).toMatchObject({ code: 0, stdout: inOrder });
    await sandbox.ok('rm', '-f', 'beside');
    const apart = await run('-w', '/', '--', 'sh', '-c', 'echo out; echo error >&2');
    expect(apart).toMatchObject({ stdout: 'out\n', stderr: 'error\n' });
  });

  it('shows its CPUs as ps, top and vmstat want them: an empty line behind each', async () => {
    const { stdout } = await run('--', 'tail', '-c', '2', '/proc/cpuinfo');
    expect(stdout).toBe('\n\n');
  });

  it('has no state to sleep in, from which nothing would wake it, and says so', async () => {
    const asked = await run('--', 'sh', '-c', 'cat /sys/power/state; echo mem > /sys/power/state || echo goes on');
    expect(asked).toMatchObject({ code: 0, stdout: 'goes on\n', stderr: expect.stringContaining('Read-only') });
  });

  it.each(['USR1', 'USR2', 'TERM'])(
    "ends by init's SIG%s, as busybox's halt, poweroff and reboot send it, the workload first",
    async (signal) => {
      const asked = await run(
        '--',
        'sh',
        '-c',
        `trap 'echo ended; exit 7' TERM; kill -${signal} 1; while :; do sleep 1 & wait; done`,
      );
      expect(asked).toMatchObject({ code: 7, stdout: 'ended\n' });
    },
  );

  it('ends when it is halted, off or reset at once, and says so', async () => {
    for (const [how, code, message] of [
      ['halt', 0, 'the guest powered itself off'],
      ['poweroff', 0, 'the guest powered itself off'],
      ['reboot', 123, 'the guest reset itself'],
    ] as const) {
      const ran = await run('--', 'sh', '-c', `busybox ${how} -f; sleep 1000`);
      expect(ran, how).toMatchObject({ code, stderr: expect.stringContaining(message) });
    }
  });

  it('does not for a user', async () => {
    const ran = await run('-u', '1000', '--', 'sh', '-c', 'kill -USR2 1 || echo goes on');
    expect(ran).toMatchObject({ code: 0, stdout: 'goes on\n' });
  });

  it('passes standard input, output and error apart', async () => {
    const ran = await sandbox.pk(['run', '--driver', driver, '--', 'sh', '-c', 'cat; echo oops >&2'], 'hi\n');
    expect(ran).toMatchObject({ code: 0, stdout: 'hi\n', stderr: 'oops\n' });
  });

  it('ends with the exit code of the command', async () => {
    expect((await run('--', 'sh', '-c', 'exit 42')).code).toBe(42);
    expect((await run('--', 'sh', '-c', 'kill -9 $$')).code).toBe(137);
    expect((await run('--', 'no-such-program')).code).toBe(127);
    expect((await run('--', '/etc/passwd')).code).toBe(126);
  });

  it('tells a command that is there, and whose interpreter is not, from one that is not found', async () => {
    const directory = await mkdtemp('/var/lib/pk-scripts-');
    await chmod(directory, 0o755);
    await writeFile(join(directory, 'pk-script'), '#!/no/such/interpreter\n', { mode: 0o755 });
    await writeFile(join(directory, 'windows'), '#!/bin/sh\r\necho hi\r\n', { mode: 0o755 });
    const inPath = ['-e', `PATH=${directory}:/usr/bin:/bin`];
    const commands = [[join(directory, 'pk-script')], [join(directory, 'windows')], [...inPath, 'pk-script']];
    for (const args of commands)
      expect(await run(...args), args.join(' ')).toMatchObject({
        code: 127,
        stderr: expect.stringMatching(
          / could not be started: it is there, but what it is to be run by is not[^\n]*\n$/,
        ),
      });
    expect(await run(...inPath, 'no-script')).toMatchObject({
      code: 127,
      stderr: expect.stringContaining('no-script could not be started: no such file or directory\n    A program of'),
    });
    await rm(directory, { recursive: true });
  });

  it('names a panic and ends with 122', async () => {
    const ran = await run('--', 'sh', '-c', 'echo c > /proc/sysrq-trigger; sleep 100');
    expect(ran.code).toBe(122);
    expect(ran.stderr).toMatch(/panic/i);
  });

  it('moves a megabyte both ways unharmed', async () => {
    const text = Array.from({ length: 20_000 }, (_, line) => `line ${line} ${'x'.repeat(40)}`).join('\n');
    const ran = await sandbox.pk(['run', '--driver', driver, '--', 'cat'], text);
    expect(ran.stdout === text).toBe(true);
  });

  it('forwards signals', async () => {
    const child = sandbox.start(
      'run',
      '--driver',
      driver,
      '--',
      'sh',
      '-c',
      'trap "echo got it; exit 7" TERM; echo up; while :; do sleep 0.1; done',
    );
    const ended = finished(child);
    await once(child.stdout!, 'data');
    child.kill('SIGTERM');
    expect(await ended).toMatchObject({ code: 7 });
  });

  it('gives the command a terminal of the same size, which knows characters of several bytes', async () => {
    const inner = `stty rows 33 cols 77; '${join(import.meta.dirname, '../../bin/pk')}' run --driver ${driver} -- sh -c 'stty size; tty; stty -a'`;
    const child = spawn('script', ['-qec', inner, '/dev/null'], {
      env: sandbox.env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ran = await finished(child);
    expect(ran.stdout).toContain('33 77');
    expect(ran.stdout).toContain('/dev/pts/');
    expect(ran.stdout).toContain(' iutf8');
  });

  it('keeps the host files read-only and writes in a scratch layer', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pk-cwd-'));
    await chmod(directory, 0o755);
    await writeFile(join(directory, 'file'), 'host');
    const other = await mkdtemp(join(tmpdir(), 'pk-other-'));
    const script = `cat file && echo guest > file && cat file && rm -f /etc/hostname && ls ${other} || ls -A ${tmpdir()}`;
    // Of /tmp only the directory that the caller works in is shown.
    const there = new Sandbox(sandbox.home, sandbox.env, ['sh', '-c', 'cd "$0" && exec "$@"', directory]);
    const ran = await there.pk(['run', '--driver', driver, '--', 'sh', '-c', script]);
    expect(ran).toMatchObject({ code: 0, stdout: `hostguest\n${basename(directory)}\n` });
    expect(await readFile(join(directory, 'file'), 'utf8')).toBe('host');
    await rm(other, { recursive: true });
    await rm(directory, { recursive: true });
  });

  it('renames directories of its root as any: at once, with what is in them', async () => {
    const moved =
      'rename "/var/lib/dpkg", "/srv/moved" or die "$!\\n"; rename "/srv/moved/info", "/usr/share/inner" or die "$!\\n"; ' +
      'mkdir "/var/lib/dpkg" or die "$!\\n"; ' +
      'print join " ", -e "/usr/share/inner/dpkg.list", -e "/srv/moved/info" || 0, scalar(@{[glob "/var/lib/dpkg/*"]})';
    expect(await run('--', '/usr/bin/perl', '-e', moved)).toMatchObject({ code: 0, stdout: '1 0 0', stderr: '' });
  });

  it('has names for as many files as take a half of its memory, and as many again', async () => {
    const many = 'mkdir /srv/many && cd /srv/many && seq 60000 | xargs touch && ls | wc -l && rm -r /srv/many';
    expect(await run('--memory', '256M', '--', 'sh', '-c', many)).toMatchObject({
      code: 0,
      stdout: '60000\n',
      stderr: '',
    });
  });

  it('lets users other than root use /tmp and the names of their standard streams', async () => {
    const script = `stat -c '%u:%g %a' /tmp /var/tmp && rm "$(mktemp)" "$(mktemp -p /var/tmp)" &&
      cat /dev/stdin > /dev/stdout && echo e > /dev/stderr`;
    const ran = await sandbox.pk(
      ['run', '--driver', driver, '-u', '1000', '-w', '/', '--', 'sh', '-c', script],
      'hi\n',
    );
    expect(ran).toMatchObject({ code: 0, stdout: '0:0 1777\n0:0 1777\nhi\n', stderr: 'e\n' });
  });

  it('shares its mounts, as machines do: containers find what is mounted later where they ask for it', async () => {
    const script = `
      mkdir /tmp/m && mkfifo /tmp/in /tmp/out
      unshare -m --propagation slave sh -c 'echo > /tmp/in; read x < /tmp/out; cat /tmp/m/text' &
      read x < /tmp/in && mount -t tmpfs x /tmp/m && echo seen > /tmp/m/text && echo > /tmp/out; wait
      unshare -m sh -c 'mount -t tmpfs x /mnt'; grep -c ' /mnt ' /proc/self/mounts
      grep -c -v shared: /proc/self/mountinfo`;
    const ran = await sandbox.pk(['run', '--driver', driver, '-v', `${sandbox.home}:/data`, '--', 'sh', '-c', script]);
    expect(ran).toMatchObject({ stderr: '', stdout: 'seen\n0\n0\n' });
  });

  it('lets users other than root make namespaces with a /proc and a /sys of their own, as rootless containers do', async () => {
    const script =
      'unshare -Urmpf --mount-proc sh -c "echo \\$\\$; ls -d /proc/[0-9]*" && unshare -Urmn mount -t sysfs own /sys';
    const ran = await sandbox.pk(['run', '--driver', driver, '-u', '1000', '-w', '/', '--', 'sh', '-c', script]);
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringMatching(/^1\n\/proc\/1\n(\/proc\/2\n)?$/), stderr: '' });
  });

  it.runIf(process.getuid?.() === 0)(
    'works detached where not everybody may enter, and shows nothing of it',
    async () => {
      const closed = await mkdtemp(join(tmpdir(), 'pk-closed-'));
      const inner = join(closed, 'inner');
      await mkdir(inner);
      await writeFile(join(inner, 'file'), 'secret');
      const there = new Sandbox(sandbox.home, sandbox.env, ['sh', '-c', 'cd "$0" && exec "$@"', inner]);
      const name = `closed-${driver}`;
      const detached = ['run', '-d', '--name', name, '--driver', driver];
      const ran = await there.pk([...detached, '--', 'sleep', '1000']);
      expect(ran).toMatchObject({
        code: 0,
        stdout: `${name}\n`,
        stderr: expect.stringContaining(`works in / and not in ${inner}`),
      });
      expect(await sandbox.ok('exec', name, '--', 'pwd')).toBe('/\n');
      expect((await sandbox.pk(['exec', name, '--', 'cat', join(inner, 'file')])).stdout).toBe('');
      await sandbox.ok('rm', '-f', name);
      // Programs keep their settings in an empty one. Not below /tmp, which is empty anyway.
      const own = await mkdtemp('/var/lib/pk-home-');
      await writeFile(join(own, 'file'), 'secret');
      await sandbox.ok(...detached, '-w', '/', '-e', `HOME=${own}`, '--', 'sleep', '1000');
      const settings = 'cd && touch .mine && ls -A';
      expect(await sandbox.ok('exec', name, '--', 'sh', '-c', settings)).toBe('.mine\n');
      await sandbox.ok('rm', '-f', name);
      await rm(own, { recursive: true });
      // Also in the one that the guest's passwd says, which is this machine's.
      await sandbox.ok(...detached, '-w', '/', '-u', 'root', '--', 'sleep', '1000');
      expect(await sandbox.ok('exec', name, '--', 'sh', '-c', 'cd && touch .mine && ls .mine')).toBe('.mine\n');
      await sandbox.ok('rm', '-f', name);
      const refused = await there.pk([...detached, '-w', inner, '--', 'true']);
      expect(refused).toMatchObject({ code: 126, stderr: expect.stringContaining('share it with --volume') });
      await sandbox.ok('rm', name);
      // What is shared may be shared at the same place.
      await there.ok(...detached, '-v', `${inner}:${inner}`, '--', 'sleep', '1000');
      expect(await sandbox.ok('exec', name, '--', 'sh', '-c', 'pwd; cat file')).toBe(`${inner}\nsecret`);
      await sandbox.ok('rm', '-f', name);
      await rm(closed, { recursive: true });
    },
  );

  it('shares volumes, read-only where asked', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pk-vol-'));
    await chmod(directory, 0o777);
    const ran = await run(
      '-v',
      `${directory}:/data`,
      '-v',
      `${directory}:/frozen:ro`,
      '--',
      'sh',
      '-c',
      'echo kept > /data/file; cat /frozen/file; echo no > /frozen/file',
    );
    expect(ran.stdout).toBe('kept\n');
    expect(ran.stderr).toMatch(/read-only/i);
    expect(await readFile(join(directory, 'file'), 'utf8')).toBe('kept\n');
    await rm(directory, { recursive: true });
  });

  it('says where a volume cannot be', async () => {
    expect(await run('-v', `${tmpdir()}:/etc/passwd`, '--', 'true')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^pk: a volume cannot be mounted at \/etc\/passwd: not a directory\n/),
    });
  });

  it('runs detached, and the kernel outlives the daemon', async () => {
    await sandbox.ok(
      'run',
      '-d',
      '--driver',
      driver,
      '--name',
      'web',
      '--restart',
      'on-failure',
      '--',
      'sh',
      '-c',
      'while :; do echo tick; sleep 0.2; done',
    );
    const bootId = (await sandbox.ok('exec', 'web', 'cat', '/proc/sys/kernel/random/boot_id')).trim();
    const { daemon } = await sandbox.json<{ daemon: { pid: number } }>('version');
    process.kill(daemon.pid, 'SIGKILL');
    const row = await until('web is found again', async () => {
      const rows = await sandbox.json<Row[]>('ps');
      return rows.find((each) => each.spec.name === 'web' && each.state === 'running');
    });
    expect(row.bootId).toBe(bootId);
    expect((await sandbox.ok('exec', 'web', 'cat', '/proc/sys/kernel/random/boot_id')).trim()).toBe(bootId);
    const before = (await sandbox.ok('logs', 'web')).length;
    await until('the log goes on', async () => (await sandbox.ok('logs', 'web')).length > before);
    await sandbox.ok('stop', 'web');
    await sandbox.ok('start', 'web');
    expect((await sandbox.ok('exec', 'web', 'cat', '/proc/sys/kernel/random/boot_id')).trim()).not.toBe(bootId);
    await sandbox.ok('kill', 'web');
    await sandbox.ok('rm', 'web');
    expect(await sandbox.json<Row[]>('ps', '-a')).toEqual([]);
  });

  it('restarts on failure', async () => {
    await sandbox.ok(
      'run',
      '-d',
      '--driver',
      driver,
      '--name',
      'flaky',
      '--restart',
      'on-failure:2',
      '--',
      'sh',
      '-c',
      'exit 3',
    );
    const row = await until('two restarts are used up', async () => {
      const rows = await sandbox.json<Row[]>('ps', '-a');
      return rows.find((each) => each.state === 'exited' && each.restarts === 2);
    });
    expect(row.exit).toMatchObject({ reason: 'exit', exitCode: 3 });
    await sandbox.ok('rm', 'flaky');
  });

  it('leaves no process of an ended command', async () => {
    await run('--', 'true');
    const { daemon } = await sandbox.json<{ daemon: { pid: number } }>('version');
    await until('only the daemon is left', async () => {
      const left = await sandbox.processes();
      return left.every((pid) => pid === daemon.pid);
    });
  });

  it('removes a foreground instance when its client is killed', async () => {
    const child = sandbox.start('run', '--driver', driver, '--name', 'gone', '--', 'sh', '-c', 'echo up; sleep 1000');
    await once(child.stdout!, 'data');
    child.kill('SIGKILL');
    await until('it is gone', async () => (await sandbox.json<Row[]>('ps', '-a')).length === 0);
  });

  it.each(['-T', '-t'])(
    'tells a command with %s by SIGHUP that its client is gone, before its kernel ends',
    async (terminal) => {
      const directory = join(sandbox.home, `hung-up${terminal}`);
      await mkdir(directory);
      const script = "trap 'echo saved > /d/work; exit 3' HUP; echo up; while :; do sleep 0.1; done";
      const options = ['--driver', driver, '-w', '/', terminal, '-v', `${directory}:/d`];
      const child = sandbox.start('run', ...options, '--', 'sh', '-c', script);
      await once(child.stdout!, 'data');
      child.kill('SIGKILL');
      await until('it is gone', async () => (await sandbox.json<Row[]>('ps', '-a')).length === 0);
      expect(await readFile(join(directory, 'work'), 'utf8')).toBe('saved\n');
    },
  );

  it('ends the kernel of a command that goes on after SIGHUP', async () => {
    const script = "trap '' HUP; echo up; while :; do sleep 1; done";
    const child = sandbox.start('run', '--driver', driver, '-w', '/', '--', 'sh', '-c', script);
    await once(child.stdout!, 'data');
    child.kill('SIGKILL');
    await until('it is gone', async () => (await sandbox.json<Row[]>('ps', '-a')).length === 0);
  });
});

describe('pk refuses clearly', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await Sandbox.create();
  });
  afterAll(() => sandbox[Symbol.asyncDispose]());

  it.each([
    [['run', '--image', 'debian:nope', '--', 'true'], 125, /debian:nope/],
    [['run', '--cpus', '0', '--', 'true'], 2, /--cpus/],
    [['run', '--cpus', 'abc', '--', 'true'], 2, /--cpus.*abc/],
    [['run', '--memory', '1', '--', 'true'], 2, /memory/],
    [['run', '--driver', 'uml', '--cpus', '2', '--', 'true'], 2, /cpus|CPU/],
    [['run', '--driver', 'warp', '--', 'true'], 2, /warp/],
    [['run', '--rootfs', '/nowhere', '--', 'true'], 125, /nowhere/],
    [['run', '-v', 'relative', '--', 'true'], 2, /volume/],
    [['run'], 2, /command/i],
    [['exec', 'nobody', 'true'], 125, /nobody/],
    [['rm', 'nobody'], 125, /nobody/],
    [['frobnicate'], 2, /frobnicate/],
  ])('%j', async (args, code, message) => {
    const ran = await sandbox.pk(args);
    expect(ran.stderr).toMatch(message);
    expect(ran.stderr).not.toMatch(/\n\s+at /);
    expect(ran.code).toBe(code);
  });
});
