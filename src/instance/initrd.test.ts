import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PolykernelError } from '../sys/errors.ts';
import { joinInitrd } from './initrd.ts';
import { acceptSources } from './source.ts';

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'pk-initrd-'));
  writeFileSync(join(base, 'agent'), 'agent');
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** As an instance is created with it. */
async function given(content: string, name = 'given') {
  const initrd = join(base, name);
  writeFileSync(initrd, content);
  return (await acceptSources({ root: 'host', cwd: '/', volumes: [], initrd }, [])).initrd!;
}

it.each([
  ['07070100', '07070100agent'],
  ['070701000', '070701000\0\0\0agent'],
  ['', 'agent'],
])("%j goes in front of the agent's, which begins at a multiple of 4", async (content, joined) => {
  const path = await joinInitrd(await given(content), join(base, 'agent'), join(base, 'joined'));
  expect(readFileSync(path, 'latin1')).toBe(joined);
  expect(statSync(path).mode & 0o777).toBe(0o644);
});

it('another file in its place, or a link, is not read', async () => {
  const source = await given('07070100');
  writeFileSync(join(base, 'secret'), 'secret');
  renameSync(join(base, 'secret'), source.path);
  await expect(joinInitrd(source, join(base, 'agent'), join(base, 'joined'))).rejects.toMatchObject({
    code: 'conflict',
  });
  rmSync(source.path);
  symlinkSync('/etc/passwd', source.path);
  await expect(joinInitrd(source, join(base, 'agent'), join(base, 'joined'))).rejects.toMatchObject({
    code: 'conflict',
  });
});

it('one that a link leads to, which was put on the way just now, is not read', async () => {
  mkdirSync(join(base, 'way'));
  mkdirSync(join(base, 'elsewhere'));
  const source = await given('07070100', 'way/given');
  linkSync(source.path, join(base, 'elsewhere/given'));
  const ask = <T>(look: () => Promise<T>): Promise<T> => {
    if (existsSync(join(base, 'way/given'))) rmSync(join(base, 'way'), { recursive: true });
    if (!existsSync(join(base, 'way'))) symlinkSync(join(base, 'elsewhere'), join(base, 'way'));
    return look();
  };
  await expect(joinInitrd(source, join(base, 'agent'), join(base, 'joined'), ask)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('is another file now'),
  });
});

it('what is no file is refused when it is given', async () => {
  const initrd = join(base, 'nowhere');
  const paths = { root: 'host', cwd: '/', volumes: [], initrd };
  await expect(acceptSources(paths, [])).rejects.toMatchObject({ code: 'not-found', field: 'initrd' });
});

it.each([
  ['passwd', 'root:x:0:0'],
  ['old.cpio', '070707'],
])('%s is no archive, of which a kernel would panic: it is refused when it is given', async (_, content) => {
  await expect(given(content)).rejects.toMatchObject({ code: 'invalid', field: 'initrd' });
});

it('a directory is no archive', async () => {
  const paths = { root: 'host', cwd: '/', volumes: [], initrd: base };
  await expect(acceptSources(paths, [])).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('is no file'),
  });
});

it('a file system that falls silent amid the reading holds nobody for longer than the patience there is', async () => {
  const source = await given('07070100');
  let asked = 0;
  const ask = async <T>(look: () => Promise<T>): Promise<T> => {
    asked += 1;
    if (asked === 3) throw new PolykernelError('unavailable', 'it does not answer');
    return look();
  };
  await expect(joinInitrd(source, join(base, 'agent'), join(base, 'joined'), ask)).rejects.toMatchObject({
    code: 'unavailable',
  });
  // Opened, looked at, read, closed.
  expect(asked).toBe(4);
});
