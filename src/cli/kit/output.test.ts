import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { age, table } from './output.ts';

it('lays out columns, numbers to the right', () => {
  expect(
    table(
      ['NAME', 'PID'],
      [
        ['a', '12345'],
        ['long-name', '7'],
      ],
      ['PID'],
    ),
  ).toBe('NAME         PID\na          12345\nlong-name      7\n');
});

it.each([
  [0, '0s'],
  [119_000, '119s'],
  [120_000, '2m'],
  [7_200_000, '2h'],
  [172_800_000, '2d'],
])('tells an age of %d ms as %s', (milliseconds, text) => {
  expect(age(new Date(1_000_000).toISOString(), 1_000_000 + milliseconds)).toBe(text);
});

it('shows cells in one line without what a terminal would obey, and as wide as that', () => {
  expect(
    table(
      ['NAME', 'REASON'],
      [
        ['a', 'x\x1b[2J\u202ey\nz\u200b'],
        ['b', 'ok'],
      ],
    ),
  ).toBe('NAME  REASON\na     xy z\nb     ok\n');
});

it('has room for more rows than a call has arguments', () => {
  const rows = Array.from({ length: 200_000 }, () => ['x']);
  expect(table(['N'], rows).length).toBe(2 * 200_001);
});

it('has given all to a slow reader before the process ends', async () => {
  const output = pathToFileURL(join(import.meta.dirname, 'output.ts')).href;
  const script = `import { flush } from ${JSON.stringify(output)};
    process.stdout.write(Buffer.alloc(3_000_000));
    await flush();
    process.exit(0);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // Far more than what the system keeps for a reader.
  expect((await buffer(child.stdout)).length).toBe(3_000_000);
});
