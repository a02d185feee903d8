/** Tools of every day on real kernels: on a volume as an ordinary user, and Debian's packages as root in a root of their own. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeDebianRoot } from '../support/debian-root.ts';
import { Sandbox } from '../support/pk.ts';

const USER = 1000;
/** The system's own, not what its user has in his home. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const isRoot = process.getuid?.() === 0;

/** Whether an ordinary user of this machine has a program: `npm run setup -- --tests` gets those of Debian's main archive. */
const has = (...argv: string[]) => {
  const asUser = ['--reuid', String(USER), '--regid', String(USER), '--clear-groups', '--', ...argv];
  return isRoot && spawnSync('setpriv', asUser, { cwd: '/', env: { PATH, HOME: '/' } }).status === 0;
};

let sandbox: Sandbox;
let base: string;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  base = mkdtempSync(join(tmpdir(), 'pk-programs-'));
  chmodSync(base, 0o755);
});
afterAll(async () => {
  await sandbox?.[Symbol.asyncDispose]();
  if (base) rmSync(base, { recursive: true, force: true });
});

describe.each(['uml', 'qemu'])('on a volume as an ordinary user, on %s', (driver) => {
  /** A home that is his, with files in it. */
  const makeHome = (name: string, files: Record<string, string> = {}) => {
    const home = join(base, `${name}-${driver}`);
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(home, path)), { recursive: true });
      writeFileSync(join(home, path), text);
    }
    mkdirSync(home, { recursive: true });
    execFileSync('chown', ['-R', `${USER}:${USER}`, home]);
    return home;
  };

  /** What a script wrote that ran in a kernel of its own: one CPU, as emulated ones crash Node.js on two. */
  const inKernel = async (home: string, script: string) => {
    const user = [
      '-u',
      `${USER}:${USER}`,
      '-w',
      '/work',
      '-v',
      `${home}:/work`,
      '-e',
      'HOME=/work',
      '-e',
      `PATH=${PATH}`,
    ];
    const ran = await sandbox.pk(['run', '--driver', driver, '--cpus', '1', ...user, '--', 'sh', '-euc', script]);
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    return ran.stdout;
  };

  const othersFiles = (home: string) => {
    const all = execFileSync('find', [home], { encoding: 'utf8' }).trim().split('\n');
    return all.filter((path) => lstatSync(path).uid !== USER);
  };

  it.runIf(has('git', '--version'))('git clones, commits and pushes', async () => {
    const home = makeHome('git', { '.gitconfig': '[user]\n\tname = U\n\temail = u@example.invalid\n' });
    await inKernel(
      home,
      `git init -q -b main upstream && cd upstream
       mkdir src && echo one > src/a && echo run > tool && chmod 755 tool && ln -s src/a link
       git add . && git commit -qm first && cd ..
       git clone -q --bare upstream shared.git && git clone -q shared.git copy
       cmp copy/link upstream/src/a && test -x copy/tool && test -L copy/link`,
    );
    const seen = await inKernel(
      home,
      `cd copy && test -z "$(git status --porcelain)" && echo two >> src/a && git commit -qam second && git push -q
       git -C ../shared.git fsck --strict && git -C ../shared.git gc -q && git -C ../shared.git log --format=%s main`,
    );
    expect(seen).toBe('second\nfirst\n');
    expect(readFileSync(join(home, 'copy/link'), 'utf8')).toBe('one\ntwo\n');
    expect(othersFiles(home)).toEqual([]);
  });

  it.runIf(has('make', '--version') && has('gcc', '--version'))(
    'make builds a program, and again what changed',
    async () => {
      const home = makeHome('make', {
        Makefile: 'greet: main.o word.o\n\tcc -o $@ $^\n%.o: %.c word.h\n\tcc -c $<\n',
        'word.h': 'const char *word(void);\n',
        'word.c': '#include "word.h"\nconst char *word(void) { return "hello"; }\n',
        'main.c': '#include <stdio.h>\n#include "word.h"\nint main(void) { return puts(word()) < 0; }\n',
      });
      expect((await inKernel(home, 'make -j2 > log && cat log && ./greet')).trim().split('\n').sort()).toEqual([
        'cc -c main.c',
        'cc -c word.c',
        'cc -o greet main.o word.o',
        'hello',
      ]);
      const again = await inKernel(
        home,
        // Times have whole seconds: an edit is newer in the next one.
        `make -q && ./greet && sed s/hello/goodbye/ word.c > new && mv new word.c
       until [ word.c -nt greet ]; do touch word.c; done
       make -j2 && ./greet`,
      );
      expect(again).toBe('hello\ncc -c word.c\ncc -o greet main.o word.o\ngoodbye\n');
      expect(othersFiles(home)).toEqual([]);
    },
  );

  it.runIf(has('npm', '--version'))('npm installs a packed module, and Node.js requires it', async () => {
    const home = makeHome('npm', {
      'greet/package.json': JSON.stringify({
        name: 'greet',
        version: '1.2.3',
        main: 'lib/index.js',
        bin: 'lib/bin.js',
      }),
      'greet/lib/index.js': 'module.exports = (name) => "hello, " + name;\n',
      'greet/lib/bin.js': '#!/usr/bin/env node\nconsole.log(require("./index.js")("bin"));\n',
      'app/package.json': JSON.stringify({ name: 'app', version: '1.0.0' }),
    });
    await inKernel(
      home,
      `npm pack --silent ./greet && cd app
       npm install --offline --no-audit --no-fund --no-update-notifier --silent ../greet-1.2.3.tgz`,
    );
    const seen = await inKernel(home, `cd app && node -p 'require("greet")("module")' && node_modules/.bin/greet`);
    expect(seen).toBe('hello, module\nhello, bin\n');
    expect(JSON.parse(readFileSync(join(home, 'app/package.json'), 'utf8')).dependencies).toEqual({
      greet: 'file:../greet-1.2.3.tgz',
    });
    expect(othersFiles(home)).toEqual([]);
  });

  it.runIf(has('python3', '-c', 'import venv'))('Python makes an environment and runs in it', async () => {
    const home = makeHome('python');
    // What pip unpacks takes minutes where a processor is emulated.
    const pip = driver === 'uml' && has('python3', '-c', 'import ensurepip');
    await inKernel(home, pip ? 'python3 -m venv env' : 'python3 -m venv --without-pip env');
    if (pip) expect(await inKernel(home, 'env/bin/pip list --disable-pip-version-check')).toMatch(/^pip +[0-9]/m);
    const seen = await inKernel(
      home,
      `. env/bin/activate && cd env/lib/python3*/site-packages && echo 'name = "module"' > own.py && cd /work
       python -c 'import own, sys; print(own.name, sys.prefix, sys.prefix != sys.base_prefix)'`,
    );
    expect(seen).toBe('module /work/env True\n');
    expect(existsSync(join(home, 'env/pyvenv.cfg'))).toBe(true);
    expect(othersFiles(home)).toEqual([]);
  });
});

/** Each line: what a program of every day says. All in one boot. */
const MACHINE = `
exec 2>&1
ps -ef > /tmp/ps && ps aux >> /tmp/ps && grep -c '^root  *1 ' /tmp/ps
echo "$(ulimit -n) $(ulimit -Hn)"
getent hosts mine.example | tr -s ' '
cat /etc/hosts
truncate -s 4M /tmp/disk && mkfs.ext4 -q /tmp/disk && mount -o loop /tmp/disk /mnt && stat -f -c %T /mnt
head -c 0 /dev/net/tun && echo tun
mkdir /sys/fs/cgroup/some && echo $$ > /sys/fs/cgroup/some/cgroup.procs && cat /proc/self/cgroup
cd / && setpriv --reuid 1000 --regid 1000 --clear-groups busybox httpd -p 80 -h / && echo served
grep -c "$NODE" /proc/cpuinfo
echo "\${#1} $(($# - 1)) \${#LONG}"
`;

describe.each(['uml', 'qemu'])('on %s', (driver) => {
  it.runIf(isRoot && has('ps', 'ax'))('a program finds what it looks for on a machine', async () => {
    const hosts = join(base, `hosts-${driver}`);
    const own = '127.0.0.9 mine.example\n';
    writeFileSync(hosts, own);
    const [long, many] = [100_000, 2000];
    const ran = await sandbox.pk([
      ...['run', '--driver', driver, '--cpus', '1', '--network', 'private', '-v', `${hosts}:/etc/hosts`],
      ...['-e', `PATH=${PATH}`, '-e', `NODE=${hostname()} `, '-e', `LONG=${'e'.repeat(long)}`],
      ...['--', 'sh', '-c', MACHINE, 'sh', 'a'.repeat(long), ...Array<string>(many).fill('b')],
    ]);
    expect(ran.stdout.trim().split('\n')).toEqual([
      ...['2', '1024 524288', '127.0.0.9 mine.example', own.trim(), 'ext2/ext3', 'tun', '0::/some', 'served', '0'],
      `${long} ${many} ${long}`,
    ]);
    // It is the host's, and not ours to write.
    expect(readFileSync(hosts, 'utf8')).toBe(own);
  });
});

describe.runIf(isRoot)('dpkg in a Debian of its own', () => {
  /** Some users of every Debian. */
  const [games, staff] = [5, 50];
  let root: string;
  let packages: string;

  beforeAll(() => {
    root = join(base, 'debian');
    packages = join(base, 'packages');
    const made = join(packages, 'pk-greet');
    for (const each of [
      root,
      join(made, 'DEBIAN'),
      join(made, 'etc'),
      join(made, 'usr/bin'),
      join(made, 'var/lib/pk-greet'),
    ])
      mkdirSync(each, { recursive: true });
    makeDebianRoot(root);
    const files: [path: string, mode: number, text: string][] = [
      [
        'DEBIAN/control',
        0o644,
        'Package: pk-greet\nVersion: 1.0-1\nArchitecture: all\nDepends: dash\nMaintainer: N <n@example.invalid>\nDescription: greets\n',
      ],
      ['DEBIAN/conffiles', 0o644, '/etc/pk-greet.conf\n'],
      ['DEBIAN/preinst', 0o755, '#!/bin/sh\nset -e\necho "preinst $1" >> /var/log/pk-greet\n'],
      [
        'DEBIAN/postinst',
        0o755,
        '#!/bin/sh\nset -e\necho "postinst $1" >> /var/log/pk-greet\nchown games /var/lib/pk-greet/scores\n',
      ],
      ['DEBIAN/postrm', 0o755, '#!/bin/sh\nset -e\necho "postrm $1" >> /var/log/pk-greet\n'],
      ['etc/pk-greet.conf', 0o640, 'word=hello\n'],
      ['usr/bin/pk-greet', 0o755, '#!/bin/sh\n. /etc/pk-greet.conf && echo "$word"\n'],
      ['var/lib/pk-greet/scores', 0o664, '0\n'],
    ];
    for (const [path, mode, text] of files) {
      writeFileSync(join(made, path), text);
      chmodSync(join(made, path), mode);
    }
    chownSync(join(made, 'var/lib/pk-greet'), games, staff);
    execFileSync('dpkg-deb', ['--build', made, join(packages, 'pk-greet.deb')], { stdio: 'pipe' });
  });

  it.each(['uml', 'qemu'])('installs and removes a package on %s', async (driver) => {
    const run = (script: string) => {
      const options = ['--driver', driver, '--cpus', '1', '--rootfs', root, '-v', `${packages}:/packages:ro`];
      return sandbox.pk(['run', ...options, '--', 'sh', '-euc', script]);
    };
    const ran = await run(
      `exec 2>&1
       dpkg -i /packages/pk-greet.deb > /tmp/log || { cat /tmp/log; exit 1; }
       dpkg -s pk-greet | grep -E '^(Status|Version):' && dpkg -V pk-greet && dpkg --audit
       pk-greet && cat /var/log/pk-greet && dpkg -S /usr/bin/pk-greet
       cd / && stat -c '%n %u %g %a' etc/pk-greet.conf usr/bin/pk-greet var/lib/pk-greet var/lib/pk-greet/scores
       echo word=changed > /etc/pk-greet.conf && dpkg -r pk-greet > /tmp/log && test ! -e /usr/bin/pk-greet
       cat /etc/pk-greet.conf && dpkg -P pk-greet > /tmp/log && test ! -e /etc/pk-greet.conf
       cat /var/log/pk-greet && ! dpkg -s pk-greet 2> /dev/null`,
    );
    const installed = ['preinst install', 'postinst configure'];
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(ran.stdout.trim().split('\n')).toEqual([
      ...['Status: install ok installed', 'Version: 1.0-1', 'hello', ...installed, 'pk-greet: /usr/bin/pk-greet'],
      ...['etc/pk-greet.conf 0 0 640', 'usr/bin/pk-greet 0 0 755'],
      ...[`var/lib/pk-greet ${games} ${staff} 755`, `var/lib/pk-greet/scores ${games} 0 664`],
      ...['word=changed', ...installed, 'postrm remove', 'postrm purge'],
    ]);
    // The root is what it was: neither the host nor another kernel has it.
    expect(existsSync(join(root, 'usr/bin/pk-greet'))).toBe(false);
    expect(readFileSync(join(root, 'var/lib/dpkg/status'), 'utf8')).not.toContain('pk-greet');
    expect((await run('dpkg -s pk-greet')).code).toBe(1);
  });
});
