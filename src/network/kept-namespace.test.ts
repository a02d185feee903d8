import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { userNamespaceLimit } from './kept-namespace.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pk-sysctl-'));
});
afterEach(() => rmSync(root, { recursive: true }));

it.each([
  ['user/max_user_namespaces', '0', 'user.max_user_namespaces=15000', true],
  ['kernel/unprivileged_userns_clone', '0', 'kernel.unprivileged_userns_clone=1', true],
  ['kernel/apparmor_restrict_unprivileged_userns', '1', 'kernel.apparmor_restrict_unprivileged_userns=0', false],
])('%s = %s is named, with its remedy', (setting, value, remedy, sure) => {
  expect(userNamespaceLimit(root)).toBeNull();
  const file = join(root, 'proc/sys', setting);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${value}\n`);
  expect(userNamespaceLimit(root)).toMatchObject({
    reason: expect.stringContaining(`${setting.replace('/', '.')}=${value}`),
    hint: expect.stringContaining(`sysctl -w ${remedy}`),
    sure,
  });
});
