import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { expect, it, vi } from 'vitest';
import { complain } from './output.ts';

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

it('quotes all that a complaint says below its first line, so that nobody who is quoted says anything for pk, or what to do', () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  try {
    complain('no\npk: done\n    Run: this\n  | quoted', 'Run: that\nor: this');
    expect(write).toHaveBeenCalledExactlyOnceWith(
      'pk: no\n  | pk: done\n  |     Run: this\n  | quoted\n    Run: that\n    or: this\n',
    );
  } finally {
    write.mockRestore();
  }
});
