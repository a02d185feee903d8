import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('what the caller had open is closed, but for what is kept; what Node has opened stays', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-descriptors-'));
  const [kept, left] = ['kept', 'left'].map((name) => openSync(join(directory, name), 'w'));
  const module = fileURLToPath(new URL('descriptors.ts', import.meta.url));
  const program = `
    import { openSync, readdirSync, readlinkSync } from 'node:fs';
    import { basename } from 'node:path';
    import { closeInherited } from ${JSON.stringify(module)};
    openSync(${JSON.stringify(join(directory, 'own'))}, 'w');
    closeInherited([21]);
    const paths = readdirSync('/proc/self/fd').flatMap((fd) => { try { return [readlinkSync('/proc/self/fd/' + fd)]; } catch { return []; } });
    console.log(JSON.stringify(paths.filter((path) => path.startsWith(${JSON.stringify(directory)})).map((path) => basename(path)).sort()));`;
  const none = Array.from({ length: 17 }, () => 'ignore' as const);
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', program], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe', ...none, left!, kept!],
  });
  for (const fd of [kept, left]) closeSync(fd!);
  rmSync(directory, { recursive: true });
  expect([stdout, stderr]).toEqual(['["kept","own"]\n', '']);
});
