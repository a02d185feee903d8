import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { homeOf } from './passwd.ts';

it('knows homes by name and by number', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-passwd-'));
  const path = join(directory, 'passwd');
  writeFileSync(
    path,
    'root:x:0:0:root:/root:/bin/sh\napp:x:1000:50:An App:/home/app:/bin/sh\nbare:x:7:7::relative:\nshort:x\n',
  );
  const users = ['root', '0', '00', 'app:staff', '1000:5', 'nosuch', '42', 'bare', 'short'];
  const none = undefined;
  expect(users.map((user) => homeOf(user, path))).toEqual([
    '/root',
    '/root',
    '/root',
    '/home/app',
    '/home/app',
    none,
    none,
    none,
    none,
  ]);
  rmSync(directory, { recursive: true });
  expect(homeOf('root', path)).toBeUndefined();
});
