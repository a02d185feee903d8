import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { checkCheckout } from './upgrade.ts';

function checkout(): string {
  const path = mkdtempSync(join(tmpdir(), 'pk-checkout-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  mkdirSync(join(path, 'bin'));
  mkdirSync(join(path, 'src/daemon'), { recursive: true });
  for (const file of ['bin/pk', 'src/daemon/stand-by.ts']) writeFileSync(join(path, file), '');
  return path;
}

it('takes a directory that says it is one', () => {
  const path = checkout();
  writeFileSync(join(path, 'package.json'), '{"name": "polykernel"}');
  expect(() => checkCheckout(path)).not.toThrow();
});

it.each([
  ['a FIFO', (path: string) => void execFileSync('mkfifo', [path])],
  ['a link to a device without end', (path: string) => symlinkSync('/dev/zero', path)],
  ['a directory', (path: string) => void mkdirSync(path)],
])('%s in place of its description is not waited for', (_, put) => {
  const path = checkout();
  put(join(path, 'package.json'));
  expect(() => checkCheckout(path)).toThrow(/is no checkout/);
});
