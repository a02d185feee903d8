import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { machineRoot } from './machine-root.ts';

const roots = mkdtempSync(join(tmpdir(), 'pk-roots-'));
afterAll(() => rmSync(roots, { recursive: true }));

const newRoot = () => mkdtempSync(join(roots, 'root-'));

describe('hosts', () => {
  it.each([
    ['short text', '127.0.0.1 localhost\n', 0o644, true],
    ['nothing', '', 0o644, true],
    ['what not everybody may read', '127.0.0.1 localhost\n', 0o640, false],
    ['more than fits a message', '127.0.0.1 localhost\n'.repeat(40), 0o644, false],
    ['what would end a field of a step', '127.0.0.1 a\x1fb\n', 0o644, false],
    ['what would end a step', '127.0.0.1 a\0b\n', 0o644, false],
  ])('gives %s, or leaves it to the guest', async (_, text, mode, isGiven) => {
    const root = newRoot();
    mkdirSync(join(root, 'etc'));
    writeFileSync(join(root, 'etc/hosts'), text);
    chmodSync(join(root, 'etc/hosts'), mode);
    expect((await machineRoot(undefined, root)).hosts).toBe(isGiven ? text : undefined);
  });

  it('leaves what is no file, and nothing, to the guest', async () => {
    const root = newRoot();
    expect((await machineRoot(undefined, root)).hosts).toBeUndefined();
    mkdirSync(join(root, 'etc'));
    symlinkSync(root, join(root, 'etc/hosts'));
    expect((await machineRoot(undefined, root)).hosts).toBeUndefined();
  });
});

it.runIf(process.getuid?.() === 0)('tells the mode of an /etc that is a directory of root’s', async () => {
  const [plain, others, set, linked] = [newRoot(), newRoot(), newRoot(), newRoot()];
  for (const root of [plain, others, set]) mkdirSync(join(root, 'etc'));
  chmodSync(join(plain, 'etc'), 0o711);
  chownSync(join(others, 'etc'), 0, 6);
  chmodSync(join(set, 'etc'), 0o2755);
  symlinkSync('/etc', join(linked, 'etc'));
  const modes = [plain, others, set, linked, newRoot()].map(
    async (root) => (await machineRoot(undefined, root)).etcMode,
  );
  expect(await Promise.all(modes)).toEqual([0o711, undefined, undefined, undefined, undefined]);
});

describe('room for modules', () => {
  /** `lib`: what /lib is. */
  const rootWith = (lib: 'link' | 'directory') => {
    const root = newRoot();
    for (const path of ['usr', 'usr/lib', 'sbin']) mkdirSync(join(root, path), { mode: 0o755 });
    if (lib === 'link') symlinkSync('usr/lib', join(root, 'lib'));
    else mkdirSync(join(root, 'lib'), { mode: 0o755 });
    writeFileSync(join(root, 'sbin/modprobe'), '', { mode: 0o755 });
    return root;
  };
  const room = async (root: string) => (await machineRoot('6.1.0', root)).modules?.room;
  const asRoot = it.runIf(process.getuid?.() === 0);

  asRoot('is below /usr/lib where /lib leads there, and else below /lib, with the modes that are there', async () => {
    const merged = rootWith('link');
    chmodSync(join(merged, 'usr'), 0o750);
    expect(await room(merged)).toEqual([
      { path: 'usr', mode: 0o750 },
      { path: 'usr/lib', mode: 0o755 },
      { path: 'usr/lib/modules', mode: 0o755 },
      { path: 'usr/lib/modules/6.1.0', mode: 0o755 },
    ]);
    expect((await room(rootWith('directory')))?.map(({ path }) => path)).toEqual([
      'lib',
      'lib/modules',
      'lib/modules/6.1.0',
    ]);
    expect((await machineRoot(undefined, merged)).modules).toBeUndefined();
  });

  asRoot('is none where there are modules of that kernel, and not where only headers are', async () => {
    const root = rootWith('link');
    mkdirSync(join(root, 'usr/lib/modules/6.1.0'), { recursive: true });
    expect(await room(root)).toHaveLength(4);
    writeFileSync(join(root, 'usr/lib/modules/6.1.0/modules.dep'), '');
    expect(await room(root)).toEqual([]);
  });

  asRoot('is for the guest to find where something is another than in most systems', async () => {
    const another = rootWith('link');
    chownSync(join(another, 'usr/lib'), 1000, 1000);
    const file = rootWith('directory');
    writeFileSync(join(file, 'lib/modules'), '');
    const closed = rootWith('link');
    chmodSync(join(closed, 'sbin/modprobe'), 0o644);
    for (const root of [another, file, closed]) expect(await room(root)).toBeUndefined();
  });

  asRoot('is told with whether there is a program that loads them', async () => {
    const root = rootWith('link');
    const { modules } = await machineRoot('6.1.0', root);
    expect(modules?.hasLoader).toBe(true);
    rmSync(join(root, 'sbin/modprobe'));
    expect((await machineRoot('6.1.0', root)).modules).toEqual({ ...modules, hasLoader: false });
  });
});
