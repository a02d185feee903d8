import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { collectGarbage, NODE_FLAGS } from './node.ts';

it('compiles what is hot on the main thread once it was told to', () => {
  const script = `
    import { compileInForeground } from ${JSON.stringify(fileURLToPath(new URL('./node.ts', import.meta.url)))};
    if (process.argv[1] === 'told') compileInForeground();
    const add = (numbers) => { let sum = 0; for (const number of numbers) sum = (sum + number * 3) | 0; return sum; };
    const numbers = Array.from({ length: 1000 }, (_, index) => index);
    for (let round = 0; round < 20_000; round++) add(numbers);
  `;
  const trace = (...args: string[]) =>
    execFileSync(process.execPath, [...args, '--trace-opt', '--input-type=module', '--eval', script, 'told'], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH },
    })
      .split('\n')
      // Not of Node's own work on this file, before it was told.
      .filter((line) => line.includes('<JSFunction add '))
      .join('\n');
  const told = trace(...NODE_FLAGS);
  expect(told).toMatch(/TURBOFAN/);
  expect(told).not.toMatch(/MAGLEV|mode: ConcurrencyMode::kConcurrent/);
  // Neither half is enough.
  expect(trace()).toMatch(/mode: ConcurrencyMode::kConcurrent/);
});

it.each(['regular', 'last-resort'] as const)(
  'collects what nobody holds (%s), and leaves the flags of V8',
  (flavor) => {
    const { cachedDataVersionTag } = process.getBuiltinModule('node:v8');
    const flags = cachedDataVersionTag();
    const garbage = new WeakRef({});
    // What was made in this turn is held until its end.
    return new Promise((resolve) => setImmediate(resolve)).then(() => {
      collectGarbage(flavor);
      expect(garbage.deref()).toBe(undefined);
      expect(cachedDataVersionTag()).toBe(flags);
    });
  },
);

it('keeps buffers longer once there were many, and leaves the flags till then', () => {
  // In a process of its own, for other tests stream as well.
  const script = `
    import { cachedDataVersionTag } from 'node:v8';
    import { countStreamed } from ${JSON.stringify(fileURLToPath(new URL('./node.ts', import.meta.url)))};
    const tags = [cachedDataVersionTag()];
    for (const bytes of [4 * 2 ** 20 - 1, 1]) { countStreamed(bytes); tags.push(cachedDataVersionTag()); }
    console.log(tags[0] === tags[1], tags[1] === tags[2]);
  `;
  const said = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8', env: {} });
  expect(said).toBe('true false\n');
});

it('collects what a stream left while it passes', () => {
  // As above, and in small semi-spaces, as the daemon has.
  const script = `
    import { countStreamed } from ${JSON.stringify(fileURLToPath(new URL('./node.ts', import.meta.url)))};
    let most = 0, last;
    for (let passed = 0; passed < 400; passed += 1) {
      last = Buffer.alloc(2 ** 18);
      countStreamed(last.length);
      most = Math.max(most, process.memoryUsage().arrayBuffers);
    }
    console.log(most / 2 ** 20);
  `;
  const argv = ['--max-semi-space-size=1', '--input-type=module', '--eval', script];
  expect(Number(execFileSync(process.execPath, argv, { encoding: 'utf8', env: {} }))).toBeLessThan(16);
});
