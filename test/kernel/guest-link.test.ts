/** pk-init and GuestLink against each other on a real User Mode Linux kernel, without a driver in between. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ExecRequest, GuestLink, rootOps } from '../../src/guest/index.ts';
import { bootUml, compileInit, type RawUml, removeDirectory, temporaryDirectory, umlModule } from './raw-uml.ts';

const directory = temporaryDirectory();
let uml: RawUml;
let link: GuestLink;

const request = (...command: string[]): ExecRequest => ({
  command,
  env: { PATH: '/usr/bin:/bin', WORD: 'a=b' },
  cwd: '/',
  user: '0',
});

/** Runs a command to its end. */
async function run(command: string[], stdin: string | Buffer = '', extra: Partial<ExecRequest> = {}) {
  const process = link.exec({ ...request(...command), ...extra });
  process.stdin.end(stdin);
  const [stdout, stderr, exit] = await Promise.all([buffer(process.stdout), buffer(process.stderr), process.exited]);
  process.forget();
  return { stdout: stdout.toString(), stderr: stderr.toString(), bytes: stdout, exit };
}

/** Resolves when `stream` has shown `text`. */
async function shown(stream: Readable, text: string): Promise<void> {
  let seen = '';
  while (!seen.includes(text)) {
    const [chunk] = (await once(stream, 'data', { signal: AbortSignal.timeout(10_000) })) as [Buffer];
    seen += chunk.toString();
  }
}

beforeAll(async () => {
  mkdirSync(join(directory, 'export/root'), { recursive: true });
  mkdirSync(join(directory, 'export/vol0'));
  mkdirSync(join(directory, 'export/vol1'));
  writeFileSync(join(directory, 'export/vol0/file'), 'from the host');
  const started = performance.now();
  uml = bootUml(directory, compileInit(directory), [umlModule('fs/overlayfs/overlay.ko')]);
  link = new GuestLink({ name: 'test' });
  const hello = await link.attach(uml.control, AbortSignal.timeout(30_000));
  console.log(`compile, boot and hello: ${(performance.now() - started).toFixed(0)} ms`);
  expect(hello.release).toMatch(/^\d+\.\d+/);
  expect(hello.bootId).toBeUndefined();
  // The host's own files as the lower layer: `root` of this share is a bind in real life, here the share is /.
  const ops = rootOps({
    exportMount: { fstype: 'hostfs', source: 'none', data: '/' },
    root: 'export',
    volumes: [],
    hostname: 'guesthost',
    machineId: '0123456789abcdef0123456789abcdef',
    seed: randomBytes(32),
    timeMs: Date.now(),
    modules: ['/lib/modules/overlay.ko'],
  });
  await link.configure(
    ops.map(([key, value]) => [key, value.replace('lowerdir=/.pk/export/root', 'lowerdir=/.pk/export')]),
  );
  expect(link.hello?.bootId).toMatch(/^[0-9a-f-]{36}$/);
});

afterAll(async () => {
  await uml?.kill();
  removeDirectory(directory);
});

it('gives a process its arguments, environment, directory, input and identity, and returns output and exit code', async () => {
  const { stdout, stderr, exit } = await run(
    [
      'sh',
      '-c',
      'cat; echo "$1|$WORD|$PWD|$(id -u):$(id -g)|$(hostname)|$(cat /etc/machine-id)"; echo oops >&2; exit 42',
      'sh',
      'x y\n=z',
    ],
    'from stdin;',
    { cwd: '/usr', user: '65534:65534' },
  );
  expect(stdout).toBe('from stdin;x y\n=z|a=b|/usr|65534:65534|guesthost|0123456789abcdef0123456789abcdef\n');
  expect(stderr).toBe('oops\n');
  expect(exit).toEqual({ kind: 'exit', value: 42, message: '' });
});

it('says why a process could not be started', async () => {
  const missing = await run(['no-such-program']);
  expect(missing.exit).toEqual({ kind: 'failed', value: 2, message: 'command: no such file or directory' });
  expect((await run(['/etc/passwd'])).exit).toMatchObject({ kind: 'failed', value: 13 });
  expect((await run(['true'], '', { cwd: '/nowhere' })).exit.message).toBe('cwd: no such file or directory');
});

it('signals the whole process group', async () => {
  const process = link.exec(request('sh', '-c', 'sleep 1000 & echo up; wait'));
  await shown(process.stdout, 'up');
  process.signal(15);
  expect(await process.exited).toEqual({ kind: 'signal', value: 15, message: '' });
  process.forget();
  expect((await run(['sh', '-c', 'grep -xl sleep /proc/[0-9]*/comm || echo none'])).stdout).toBe('none\n');
});

it('does not wait for a descendant that keeps the output open', async () => {
  const started = performance.now();
  const { stdout, exit } = await run(['sh', '-c', 'yes & echo $!; exec 1>&- 2>&-; exit 5']);
  expect(exit.value).toBe(5);
  expect(performance.now() - started).toBeLessThan(5000);
  await run(['kill', '-9', stdout.split('\n').find((text) => /^\d+$/.test(text))!]);
});

it('gives a terminal with a size that can change', async () => {
  const process = link.exec({
    ...request('sh', '-c', 'tty; stty size; trap "stty size; exit 7" WINCH; echo ready; while :; do sleep 0.05; done'),
    tty: { rows: 30, columns: 100 },
  });
  let text = '';
  process.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  while (!text.includes('ready')) await once(process.stdout, 'data', { signal: AbortSignal.timeout(10_000) });
  expect(text).toMatch(/^\/dev\/pts\/\d+\r\n30 100\r\nready/);
  process.resize(41, 123);
  expect(await process.exited).toMatchObject({ kind: 'exit', value: 7 });
  expect(text).toContain('41 123');
  process.forget();
  const typed = link.exec({ ...request('cat'), tty: { rows: 24, columns: 80 } });
  typed.stdin.end('typed\n');
  expect((await buffer(typed.stdout)).toString()).toContain('typed\r\ntyped');
  expect((await typed.exited).value).toBe(0);
  typed.forget();
});

it('passes megabytes of input through unharmed', async () => {
  const data = randomBytes(1 << 20);
  const started = performance.now();
  const { bytes } = await run(['cat'], data);
  const seconds = (performance.now() - started) / 1000;
  console.log(`stdin and back: ${(1 / seconds).toFixed(1)} MiB/s`);
  expect(bytes.equals(data)).toBe(true);
});

it('holds input back for a process that does not read, and the line stays free', async () => {
  const stuck = link.exec(request('sleep', '1000'));
  let taken = false;
  stuck.stdin.write(Buffer.alloc(1 << 20), () => {
    taken = true;
  });
  expect((await run(['echo', 'free'])).stdout).toBe('free\n');
  expect(taken).toBe(false);
  stuck.signal(9);
  await stuck.exited;
  stuck.forget();
});

it('stops a process that floods a reader who does not read, and loses nothing', async () => {
  const size = 8 << 20;
  const flood = link.exec(request('sh', '-c', `head -c ${size} /dev/zero | tee /dev/stderr; echo done >/tmp/flooded`));
  await once(flood.stdout, 'readable');
  expect((await run(['sh', '-c', 'ls /tmp/flooded 2>/dev/null || echo not yet'])).stdout).toBe('not yet\n');
  expect(flood.stdout.readableLength).toBeLessThanOrEqual(65_536);
  const started = performance.now();
  const [out, error] = await Promise.all([buffer(flood.stdout), buffer(flood.stderr), flood.exited]);
  console.log(`output: ${(16 / ((performance.now() - started) / 1000)).toFixed(0)} MiB/s`);
  expect([out.length, error.length]).toEqual([size, size]);
  flood.forget();
});

it('runs twenty sessions at once', async () => {
  const data = randomBytes(30_000);
  const hash = createHash('sha256').update(data).digest('hex');
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, index) => run(['sh', '-c', `sha256sum; exit ${index}`], data)),
  );
  for (const [index, { stdout, exit }] of results.entries()) {
    expect(stdout).toBe(`${hash}  -\n`);
    expect(exit.value).toBe(index);
  }
});

it('refuses a 65th session and recovers', async () => {
  const many = Array.from({ length: 64 }, () => link.exec(request('sleep', '1000')));
  await Promise.all(many.map((process) => process.started));
  expect((await run(['true'])).exit).toMatchObject({ kind: 'failed', value: 11 });
  for (const process of many) process.forget();
  let exit = (await run(['true'])).exit;
  for (const end = Date.now() + 5000; exit.kind === 'failed' && Date.now() < end; ) exit = (await run(['true'])).exit;
  expect(exit).toMatchObject({ kind: 'exit', value: 0 });
});

it('copies files in and out', async () => {
  const data = randomBytes(300_000);
  await link.writeFile('/tmp/copied', 0o640, data);
  expect((await run(['stat', '-c', '%a %s', '/tmp/copied'])).stdout).toBe('640 300000\n');
  expect((await buffer(await link.readFile('/tmp/copied'))).equals(data)).toBe(true);
  await link.writeFile('/tmp/empty', 0o600, Buffer.alloc(0));
  expect((await buffer(await link.readFile('/tmp/empty'))).length).toBe(0);
  await expect(link.readFile('/tmp/nothing')).rejects.toMatchObject({ code: 'not-found', field: 'path' });
  await expect(link.readFile('/tmp')).rejects.toMatchObject({ code: 'invalid' });
  await expect(link.writeFile('/nowhere/file', 0o600, data)).rejects.toMatchObject({ code: 'not-found' });
});

it('sends snapshots of watched files', async () => {
  const seen: { path: string; content: string; at: bigint }[] = [];
  await new Promise<void>((resolve) => {
    const stop = link.watch(
      ['/proc/stat', '/proc/meminfo', '/proc/kallsyms', '/proc/none'],
      20,
      ({ path, content, monotonicNs }) => {
        seen.push({ path, content: content.toString(), at: monotonicNs });
        if (seen.length < 9) return;
        stop();
        resolve();
      },
    );
  });
  expect(seen.slice(0, 5).map(({ path }) => path)).toEqual([
    '/proc/stat',
    '/proc/meminfo',
    '/proc/kallsyms',
    '/proc/none',
    '/proc/stat',
  ]);
  expect(seen[1]!.content).toMatch(/^MemTotal:/);
  expect(seen[2]!.content.length).toBe(65_536);
  expect(seen[3]!.content).toBe('');
  expect(seen[4]!.at - seen[0]!.at).toBeGreaterThan(15_000_000n);
});

it('mounts volumes and names the step that fails', async () => {
  const mount = (...fields: string[]) => ['mount', fields.join('\x1f')] as const;
  await link.configure([
    mount('hostfs', 'none', '/run/share', '', join(directory, 'export')),
    mount('', '/run/share/vol0', '/data/in', 'bind,ro', ''),
    mount('', '/run/share/vol0/file', '/data/one-file', 'bind', ''),
    ['link', 'in/file\x1f/data/link'],
  ]);
  expect((await run(['sh', '-c', 'cat /data/link /data/one-file; touch /data/in/x'])).stdout).toBe(
    'from the hostfrom the host',
  );
  expect((await run(['touch', '/data/in/x'])).stderr).toContain('Read-only file system');
  await expect(link.configure([mount('nosuchfs', 'none', '/mnt', '', '')])).rejects.toMatchObject({
    message: expect.stringContaining('"mount=nosuchfs'),
  });
});

it('shows nothing of what the root is made of', async () => {
  const script = 'ls -d /.pk /run/.pk; ls -l /proc/1/fd; cut -d" " -f2 /proc/mounts';
  const { stdout } = await run(['sh', '-c', script]);
  expect(stdout).toMatch(/^\/proc$/m);
  expect(stdout).not.toContain('.pk');
});

it('takes garbage, then a new connection on the same stream', async () => {
  const survivor = link.exec(request('sh', '-c', 'read line; echo "got $line"; read line; exit 9'));
  await survivor.started;
  for (let round = 0; round < 20; round++) {
    const noise = randomBytes(100);
    noise.write('PK', 10, 'latin1');
    uml.control.write(noise.subarray(0, 1 + (round % 100)));
  }
  await link.attach(uml.control, AbortSignal.timeout(10_000));
  survivor.stdin.write('after\n');
  await shown(survivor.stdout, 'got after');
  survivor.stdin.write('end\n');
  expect(await survivor.exited).toMatchObject({ kind: 'exit', value: 9 });
  survivor.forget();
  expect((await run(['echo', 'fine'])).stdout).toBe('fine\n');
});

it('lets a later manager take over what an earlier one started', async () => {
  const before = link;
  const running = before.exec(request('sh', '-c', 'read line; echo "$line"; exit 4'));
  const ended = before.exec(request('sh', '-c', 'exit 6'));
  await Promise.all([running.started, ended.exited]);
  for (const event of ['data', 'end', 'close', 'error']) uml.control.removeAllListeners(event); // the first one is dead
  link = new GuestLink({ name: 'second' });
  await link.attach(uml.control, AbortSignal.timeout(10_000));
  expect(link.sessions()).toHaveLength(2);
  expect(link.sessions().find(({ session }) => session === ended.session)?.exit).toEqual({
    kind: 'exit',
    value: 6,
    message: '',
  });
  link.adopt(ended.session).forget();
  const adopted = link.adopt(running.session);
  expect(await adopted.started).toBe(running.pid);
  adopted.stdin.end('hello\n');
  expect((await buffer(adopted.stdout)).toString()).toBe('hello\n');
  expect((await adopted.exited).value).toBe(4);
  adopted.forget();
});

it('answers quickly', async () => {
  const times: number[] = [];
  for (let round = 0; round < 30; round++) {
    const started = performance.now();
    await run(['/bin/true']);
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  console.log(`exec round trip: median ${times[15]!.toFixed(2)} ms`);
  expect((await run(['sh', '-c', 'ps ax | grep -c "[Z] *<defunct>"'])).stdout).toBe('0\n');
});

it('powers off, giving processes their grace', async () => {
  const polite = link.exec(request('sh', '-c', 'trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.05; done'));
  const stubborn = link.exec(request('sh', '-c', 'trap "" TERM; echo up; while :; do sleep 0.05; done'));
  await Promise.all([shown(polite.stdout, 'up'), shown(stubborn.stdout, 'up')]);
  await link.poweroff(500);
  expect(polite.exit).toMatchObject({ kind: 'exit', value: 3 });
  expect(stubborn.exit).toMatchObject({ kind: 'signal', value: 9 });
  expect(await uml.exited).toBe(0);
});
