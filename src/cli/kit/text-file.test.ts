/** Files that a machine wrote, and endless ones in their place. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readLarge } from './text-file.ts';

it('reads up to 64 MiB, and names option, file and reason for more', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-text-'));
  try {
    const path = join(directory, 'dump');
    writeFileSync(path, 'é');
    expect(await readLarge(path, '--from')).toBe('é');
    truncateSync(path, 64 * 2 ** 20 + 1);
    const large = { code: 'invalid', field: '--from', value: path, message: `--from: ${path} is larger than 64 MiB` };
    await expect(readLarge(path, '--from')).rejects.toMatchObject(large);
    await expect(readLarge('/dev/zero', '--from')).rejects.toMatchObject({ code: 'invalid', value: '/dev/zero' });
    const none = { code: 'not-found', field: '--from', value: join(directory, 'no'), hint: expect.any(String) };
    await expect(readLarge(join(directory, 'no'), '--from')).rejects.toMatchObject(none);
    await expect(readLarge(directory, '--from')).rejects.toMatchObject({ code: 'invalid', value: directory });
    await expect(readLarge(join(path, 'no'), '--from')).rejects.toThrow('--from: reading');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
