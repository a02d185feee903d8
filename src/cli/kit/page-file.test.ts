import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { checkPage, writePage } from './page-file.ts';

it('where a page cannot be written is told before the work, and nothing is made by that', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-page-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  await expect(checkPage(directory)).rejects.toMatchObject({ code: 'invalid', field: '--html', value: directory });
  await expect(checkPage(join(directory, 'none/page.html'))).rejects.toThrow('no such file or directory');
  const page = join(directory, 'page.html');
  await checkPage(page);
  expect(existsSync(page)).toBe(false);
  await writePage(page, () => 'page');
  await checkPage(page);
  expect(readFileSync(page, 'utf8')).toBe('page');
});
