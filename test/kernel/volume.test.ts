/** Volumes on real kernels: whose files are, and each row of the tables in docs/run.md (scripts/volume-table.ts). */
import { type ChildProcess, execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATIONS, outcomeOf, SHARED } from '../../scripts/volume-table.ts';
import { compileFixture } from '../support/frames.ts';
import { finished, Sandbox } from '../support/pk.ts';

const USER = 1000;
/** For what is seen later than at once, on any machine. */
const PATIENCE_MS = 30_000;

/** test/fixtures/volume in a guest. */
class Volume {
  readonly outcomes = new Map<string, string>();
  /** Its 9p reads through netfs, from Linux 6.8 on: a file that is open is as long as it was then. */
  hasNetfs = false;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: ReturnType<typeof finished>;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    this.#ended = finished(child);
  }

  async ready(): Promise<void> {
    for (let line = await this.#line(); line !== 'ready'; line = await this.#line()) {
      const [name, ...result] = line.split(' ');
      this.outcomes.set(name!, result.join(' '));
    }
  }

  async ask(command: string): Promise<string> {
    this.#child.stdin!.write(`${command}\n`);
    return await this.#line();
  }

  /** Asks until the answer is `wanted`; false when it never is. */
  async becomes(command: string, wanted: string): Promise<boolean> {
    const end = Date.now() + PATIENCE_MS;
    while ((await this.ask(command)) !== wanted) {
      if (Date.now() > end) return false;
      await sleep(20);
    }
    return true;
  }

  async end(): Promise<void> {
    this.#child.stdin!.end();
    await this.#ended;
  }

  async #line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done) throw new Error(`the program in the guest ended: ${(await this.#ended).stderr}`);
    return next.value;
  }
}

/** Whether the lock of the host's flock(1) is to be had. */
function hostLocks(path: string): boolean {
  try {
    execFileSync('flock', ['-n', path, 'true']);
    return true;
  } catch {
    return false;
  }
}

/** Each row of SHARED, tried from both sides. */
const shared: Record<string, (volume: Volume, path: (name: string) => string) => Promise<boolean>> = {
  'host-makes': async (volume, path) => {
    const before = await volume.ask('stat /d/made');
    writeFileSync(path('made'), 'four');
    return before === '-1' && (await volume.ask('stat /d/made')) === '4';
  },
  'host-removes': async (volume, path) => {
    writeFileSync(path('removed'), 'x');
    const before = await volume.ask('stat /d/removed');
    rmSync(path('removed'));
    return before === '1' && (await volume.becomes('stat /d/removed', '-1'));
  },
  'host-grants': async (volume, path) => {
    mkdirSync(path('granted'), { mode: 0o755 });
    await volume.ask('enter /d/granted');
    const before = await volume.ask('make-as-user');
    chmodSync(path('granted'), 0o777);
    await volume.ask('stat .');
    const isGranted = before === '0' && (await volume.becomes('make-as-user', '1'));
    await volume.ask('enter /');
    return isGranted;
  },
  'host-rewrites': async (volume, path) => {
    for (const text of ['first', 'again', 'longer than before', 'short']) {
      writeFileSync(path('rewritten'), text);
      if ((await volume.ask('read /d/rewritten')) !== text) return false;
    }
    return true;
  },
  'host-appends': async (volume, path) => {
    writeFileSync(path('held'), 'one');
    await volume.ask('open /d/held');
    const before = await volume.ask('held');
    appendFileSync(path('held'), 'two');
    if (before !== 'one') return false;
    if (!volume.hasNetfs) return await volume.becomes('held', 'onetwo');
    await volume.ask('open /d/held');
    return (await volume.ask('held')) === 'onetwo';
  },
  'guest-writes': async (volume, path) => {
    writeFileSync(path('written'), '');
    await volume.ask('append /d/written');
    return readFileSync(path('written'), 'utf8') === 'guest';
  },
  'both-append': async (volume, path) => {
    writeFileSync(path('log'), 'host');
    await volume.ask('append /d/log');
    appendFileSync(path('log'), 'host');
    await volume.ask('append /d/log');
    return readFileSync(path('log'), 'utf8') === 'hostguesthostguest';
  },
  'append-at-once': async (volume, path) => {
    // Where something is lost, that is by chance.
    for (let round = 0; round < 20; round++) {
      writeFileSync(path('logs'), '');
      let isDone = false;
      let hosts = 0;
      const guests = volume.ask('append-much /d/logs').finally(() => {
        isDone = true;
      });
      for (; !isDone; hosts++) {
        appendFileSync(path('logs'), 'hosts');
        await nextTurn();
      }
      if (statSync(path('logs')).size !== 5 * (hosts + Number(await guests))) return false;
    }
    return true;
  },
  'guest-maps': async (volume, path) => {
    writeFileSync(path('mapped'), 'x'.repeat(4096));
    await volume.ask('open /d/mapped');
    await volume.ask('map');
    await volume.ask('store seen');
    return readFileSync(path('mapped'), 'utf8').startsWith('seenx');
  },
  'flock-across': async (volume, path) => {
    writeFileSync(path('locked'), 'x');
    await volume.ask('open /d/locked');
    expect(await volume.ask('lock')).toBe('1');
    return !hostLocks(path('locked'));
  },
  'fcntl-across': async (volume, path) => {
    writeFileSync(path('ranges'), 'x');
    await volume.ask('open /d/ranges');
    expect(await volume.ask('range')).toBe('1');
    // What the host's kernel knows of locks, by inode.
    return new RegExp(`:${statSync(path('ranges')).ino} `).test(readFileSync('/proc/locks', 'utf8'));
  },
  'inotify-across': async (volume, path) => {
    writeFileSync(path('noticed'), 'x');
    await volume.ask('open /d/noticed');
    appendFileSync(path('noticed'), 'y');
    expect(await volume.becomes('stat /d/noticed', '2')).toBe(true);
    return (await volume.ask('watched')) === '1';
  },
};

describe.runIf(process.getuid?.() === 0).each(['uml', 'qemu'] as const)('a volume on %s', (driver) => {
  let sandbox: Sandbox;
  let directory: string;
  let volume: Volume;
  const path = (name: string) => join(directory, name);

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    directory = mkdtempSync(join(tmpdir(), 'pk-volume-'));
    chmodSync(directory, 0o777);
    await compileFixture('volume', path('volume'));
    const options = ['--driver', driver, '-w', '/', '-v', `${directory}:/d`];
    volume = new Volume(sandbox.start('run', ...options, '--', '/d/volume', '/d', String(USER)));
    await volume.ready();
    const images = await sandbox.json<{ name: string; version: string }[]>('image', 'ls');
    const [major, minor] = images
      .find(({ name }) => name === 'debian:amd64')!
      .version.split('.')
      .map(Number);
    volume.hasNetfs = driver === 'qemu' && (major! > 6 || (major === 6 && minor! >= 8));
  });
  afterAll(async () => {
    await volume?.end();
    await sandbox?.[Symbol.asyncDispose]();
    if (directory) rmSync(directory, { recursive: true, force: true });
  });

  it('does what the table says, within a guest', () => {
    // What the host's own file system cannot do, such as attributes of users, is no fault of a driver.
    const here = path('here');
    mkdirSync(here, { mode: 0o777 });
    const host = execFileSync(path('volume'), [here, String(USER)], { encoding: 'utf8', input: '' });
    const rows = OPERATIONS.filter(
      ({ name }) => host.includes(`${name} yes\n`) && !(volume.hasNetfs && name === 'mmap-written'),
    );
    const said = rows.map((row) => `${row.name} ${outcomeOf(row[driver])}`);
    const found = rows.map(({ name }) => `${name} ${volume.outcomes.get(name) === 'yes' ? 'yes' : 'no'}`);
    expect(found, JSON.stringify([...volume.outcomes])).toEqual(said);
    expect(rows.length).toBeGreaterThan(30);
    expect([...volume.outcomes.keys()].sort()).toEqual(OPERATIONS.map(({ name }) => name).sort());
  });

  it.each(SHARED)('$operation', async (row) => {
    expect((await shared[row.name]!(volume, path)) ? 'yes' : 'no').toBe(outcomeOf(row[driver]));
  });

  it('lets a command of an ordinary user do at once what the host allows him in the directory that it begins in', async () => {
    const [instance] = await sandbox.json<{ spec: { name: string } }[]>('ps');
    const touch = () =>
      sandbox.pk(['exec', '-u', String(USER), '-w', '/d', instance!.spec.name, '--', 'sh', '-c', 'echo x > by-user']);
    chmodSync(directory, 0o755);
    const before = await touch();
    chmodSync(directory, 0o777);
    expect([before.code, (await touch()).code]).toEqual([2, 0]);
  });

  it("gives an ordinary user's files to him, as programs make them", async () => {
    const home = path('home');
    mkdirSync(home, { mode: 0o777 });
    chmodSync(home, 0o777);
    const hasGit = (await sandbox.pk(['version'])).code === 0 && statSync('/usr/bin/git', { throwIfNoEntry: false });
    const script = [
      'mkdir d && touch d/x && echo text > d/y && chmod 600 d/y && cp -p d/y d/z && ln -s y d/l && mv d/x d/w',
      'mkdir t && (cd d && tar cf ../d.tar .) && tar xpf d.tar -C t && cmp d/y t/y && test "$(readlink t/l)" = y',
      'cp -a d a && rm -r a && test ! -e a',
      hasGit
        ? 'export HOME=/home-of-nobody; git init -q r && cd r && echo 1 > f && git add f && git -c user.name=n -c user.email=e commit -qm m && git fsck'
        : '',
      'cat ../d/z 2>/dev/null || cat d/z',
    ];
    const options = ['--driver', driver, '-u', String(USER), '-w', '/', '-v', `${home}:/home-of-user`];
    const ran = await sandbox.pk(['run', ...options, '--', 'sh', '-euc', ['cd /home-of-user', ...script].join('\n')]);
    expect(ran.stderr.replace(/^warning: unable to access .*\n/gm, '')).toBe('');
    expect(ran).toMatchObject({ code: 0, stdout: 'text\n' });
    const all = execFileSync('find', [home, '-mindepth', '1'], { encoding: 'utf8' }).trim().split('\n');
    expect(all.length).toBeGreaterThan(hasGit ? 20 : 8);
    expect(all.filter((file) => lstatSync(file).uid !== USER)).toEqual([]);
    expect(statSync(join(home, 't/y')).mode & 0o777).toBe(0o600);
  });

  it('leaves a program of the root as it was that the host replaces while the kernel runs', async () => {
    const root = path('root');
    mkdirSync(root);
    const compile = (said: string, bytes: number) => {
      const source = `#include <stdio.h>\nstatic const char room[${bytes}] = {1};\nint main(void) { puts("${said}"); return room[${bytes - 1}]; }`;
      execFileSync('musl-gcc', ['-static', '-x', 'c', '-o', path(said), '-'], { input: source });
    };
    compile('old', 3_000_000);
    compile('new', 5_000_000);
    renameSync(path('old'), join(root, 'program'));
    mkdirSync(path('data'));
    const name = `replaced-${driver}`;
    const options = ['--name', name, '--driver', driver, '--rootfs', root, '-v', `${path('data')}:/data`];
    const waits = ['-v', `${path('volume')}:/waits:ro`, '--', '/waits', '/data', String(USER)];
    await sandbox.ok('run', '-d', ...options, ...waits);
    expect(await sandbox.ok('exec', name, '--', '/program')).toBe('old\n');
    renameSync(path('new'), join(root, 'program'));
    expect(await sandbox.pk(['exec', name, '--', '/program'])).toMatchObject({ code: 0, stdout: 'old\n' });
    await sandbox.ok('rm', '-f', name);
  });
});
