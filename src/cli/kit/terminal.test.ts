import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';

/** Joined to a guest that answers nothing; says each signal that would go there. */
const joined = `
  import { PassThrough } from 'node:stream';
  import { join } from ${JSON.stringify(new URL('./terminal.ts', import.meta.url).href)};
  const remote = {
    stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough(), exited: new Promise(() => {}),
    started: Promise.resolve({ pid: 1, isElsewhere: false }),
    signal: (number) => console.log(number), resize() {}, close: () => console.log('let go'),
  };
  setInterval(() => {}, 1000);
  void join(remote, { tty: false, stdin: false });
  console.log('ready');`;

/** The same with a terminal, for which each key comes two seconds after the one before; says each key that would go there. */
const typed = joined
  .replace("console.log('ready');", "remote.stdin.on('data', () => console.log('key')); console.log('ready');")
  .replace('tty: false, stdin: false', 'tty: true, stdin: true')
  .replace('setInterval', 'let now = 0; performance.now = () => (now += 2000);\n  setInterval');

it('lets go of a guest that answers nothing at the third Ctrl-C', async () => {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', typed], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const said = async () => (await lines.next()).value;
    expect(await said()).toBe('ready');
    for (const keys of ['x', '\x03', '\x03']) {
      child.stdin.write(keys);
      expect(await said()).toBe('key');
    }
    child.stdin.write('\x03');
    expect(await said()).toBe('let go');
    expect(await ended).toEqual([130, null]);
  } finally {
    child.kill('SIGKILL');
  }
});

it('lets go of a guest that answers nothing at the third signal that would end it, and at no SIGHUP', async () => {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', joined], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const said = async () => (await lines.next()).value;
    expect(await said()).toBe('ready');
    for (const [signal, number] of [
      ['SIGHUP', 1],
      ['SIGTERM', 15],
      ['SIGHUP', 1],
      ['SIGHUP', 1],
      ['SIGINT', 2],
    ] as const) {
      child.kill(signal);
      expect(await said()).toBe(String(number));
    }
    child.kill('SIGTERM');
    expect(await said()).toBe('let go');
    expect(await ended).toEqual([143, null]);
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
});

it('shows what a terminal in a guest prints as it is, and leaves its own as it was', async () => {
  const shown = `
    import { PassThrough } from 'node:stream';
    import { join } from ${JSON.stringify(new URL('./terminal.ts', import.meta.url).href)};
    const stdout = new PassThrough();
    stdout.end('up\\ndown\\r\\n');
    const stderr = new PassThrough();
    stderr.end();
    const [started, exited] = [Promise.resolve({}), Promise.resolve({ code: 0 })];
    await join({ stdin: new PassThrough(), stdout, stderr, started, exited, signal() {}, resize() {} }, { tty: true, stdin: false });`;
  const inner =
    'before=$(stty -g); "$NODE" --input-type=module-typescript --eval "$SHOWN"; test "$before" = "$(stty -g)"';
  const child = spawn('script', ['-qec', inner, '/dev/null'], {
    env: { ...process.env, NODE: process.execPath, SHOWN: shown, SHELL: '/bin/sh' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  let seen = '';
  for await (const text of child.stdout.setEncoding('utf8')) seen += text;
  expect(seen).toContain('up\ndown\r\n');
  expect(await ended).toEqual([0, null]);
});

it('shows what a guest answers to a command of ours without what acts on a terminal', async () => {
  const shown = `
    import { PassThrough } from 'node:stream';
    import { join } from ${JSON.stringify(new URL('./terminal.ts', import.meta.url).href)};
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    for (const piece of ['PID CMD\\n1 \\x1b[2Jin', 'it\\r\\x1b', ']0;x\\u202e\\n']) stdout.write(piece);
    for (const byte of Buffer.from('ß')) stdout.write(Buffer.of(byte));
    stdout.end();
    stderr.end('\\u009b31mno ps\\n');
    const [started, exited] = [Promise.resolve({}), Promise.resolve({ code: 0 })];
    const options = { tty: false, stdin: false, plain: true };
    await join({ stdin: new PassThrough(), stdout, stderr, started, exited, signal() {}, resize() {} }, options);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', shown], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  expect(await ended).toEqual([0, null]);
  // Of a sequence that came in two pieces its text is left.
  expect(out).toBe('PID CMD\n1 init]0;x\nß');
  expect(err).toBe('no ps\n');
});
