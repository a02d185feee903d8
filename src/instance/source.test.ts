import {
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { lchown, rename, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { acceptSources, checkSource, ownersAfterRun } from './source.ts';

let base: string;
beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'pk-source-')));
});
afterEach(() => rmSync(base, { recursive: true }));

const given = (root: string, volumes: readonly string[]) => ({
  root,
  cwd: '/',
  volumes: volumes.map((source) => ({ source, target: '/data', readOnly: false })),
});

it('settles what a path stands for: its real place, owner and inode', async () => {
  mkdirSync(join(base, 'data'));
  symlinkSync('data', join(base, 'link'));
  const { root, volumes } = await acceptSources(given('host', [join(base, 'link')]), []);
  const { uid, ino } = statSync(join(base, 'data'), { bigint: true });
  expect(root).toBeNull();
  expect(volumes).toEqual([{ path: join(base, 'data'), uid: Number(uid), inode: String(ino) }]);
});

it('takes the owner of a writable volume after a run for its own, if it is still the same', async () => {
  for (const name of ['data', 'other']) mkdirSync(join(base, name));
  const { uid } = statSync(join(base, 'data'));
  const sources = await acceptSources(given('host', [join(base, 'data'), join(base, 'other'), join(base, 'data')]), []);
  // As if each had had another owner before.
  const before = { ...sources, volumes: sources.volumes.map((source) => ({ ...source, uid: uid + 1 })) };
  renameSync(join(base, 'other'), join(base, 'moved'));
  symlinkSync('moved', join(base, 'other'));
  const after = await ownersAfterRun(before, [{ readOnly: false }, { readOnly: false }, { readOnly: true }]);
  expect(after.volumes.map((source) => source.uid)).toEqual([uid, uid + 1, uid + 1]);
});

it('names the field of what is not there, and of what is neither file nor directory', async () => {
  await expect(acceptSources(given(join(base, 'no'), []), [])).rejects.toMatchObject({
    code: 'not-found',
    field: 'root',
  });
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(base, 'socket'), resolve));
  await expect(acceptSources(given('host', [base, join(base, 'socket')]), [])).rejects.toMatchObject({
    code: 'invalid',
    field: 'volumes[1].source',
  });
  await new Promise((resolve) => server.close(resolve));
});

it('refuses a root that became a link', async () => {
  const file = join(base, 'root.tar');
  writeFileSync(file, 'x');
  const { root } = await acceptSources(given(file, []), []);
  await checkSource(root!);
  renameSync(file, join(base, 'other.tar'));
  symlinkSync('other.tar', file);
  await expect(checkSource(root!)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(/symbolic link/),
  });
});

it("follows no link that a guest may have made, wherever the way there leads; its own user's it does", async () => {
  for (const name of ['guests/real', 'secret', 'own']) mkdirSync(join(base, name), { recursive: true });
  symlinkSync('../secret', join(base, 'guests/made'));
  symlinkSync('guests', join(base, 'short'));
  symlinkSync(join(base, 'own/../short/made/.'), join(base, 'long'));
  const writable = [join(base, 'guests')];
  for (const [index, path] of ['guests/made', 'short/made', 'long', 'guests/real/../made'].entries()) {
    const volumes = [...Array<string>(index).fill(base), join(base, path)];
    await expect(acceptSources(given('host', volumes), writable)).rejects.toMatchObject({
      code: 'conflict',
      field: `volumes[${index}].source`,
    });
    await expect(acceptSources(given(join(base, path), []), writable)).rejects.toMatchObject({ field: 'root' });
    await expect(acceptSources({ ...given('host', []), cwd: `${base}/${path}` }, writable)).rejects.toMatchObject({
      field: 'cwd',
    });
    expect((await acceptSources(given(join(base, path), []), [])).root?.path).toBe(join(base, 'secret'));
  }
  const { root } = await acceptSources(given(join(base, 'short/real'), []), writable);
  expect(root?.path).toBe(join(base, 'guests/real'));
  symlinkSync('round', join(base, 'round'));
  await expect(acceptSources(given(join(base, 'round'), []), writable)).rejects.toMatchObject({ field: 'root' });
});

it.runIf(process.getuid?.() === 0)("follows a link of another user's only to what is his", async () => {
  const [his, third] = [64_321, 64_322];
  for (const name of ['own', 'his', 'third', 'home']) mkdirSync(join(base, name));
  chownSync(join(base, 'his'), his, his);
  chownSync(join(base, 'third'), third, third);
  mkdirSync(join(base, 'his/data'));
  const link = (name: string, target: string, uid: number) => {
    symlinkSync(target, join(base, 'home', name));
    lchownSync(join(base, 'home', name), uid, uid);
    return join(base, 'home', name);
  };
  const accepted = async (path: string) => (await acceptSources(given('host', [path]), [])).volumes[0]!.path;
  expect(await accepted(link('a', '../his', his))).toBe(join(base, 'his'));
  expect(await accepted(link('b', '../his', 0))).toBe(join(base, 'his'));
  // Root's own link, behind his.
  expect(await accepted(link('c', 'b', his))).toBe(join(base, 'his'));
  for (const path of [
    link('d', '../own', his),
    link('e', join(base, 'third'), his),
    // What somebody else has made in his directory.
    join(link('f', '../his', his), 'data'),
    link('g', 'a', third),
    link('h', '..', his),
  ])
    await expect(accepted(path)).rejects.toMatchObject({
      ...{ code: 'conflict', field: 'volumes[0].source' },
      message: expect.stringMatching(/is a link of user 6432[12] to what is not his$/),
      hint: expect.stringContaining('Give the path that it leads to'),
    });
  // Where nothing is exchanged that is not his, all is as it was.
  expect(await accepted(join(base, 'his/data'))).toBe(join(base, 'his/data'));
});

it.runIf(process.getuid?.() === 0)(
  "takes no link of another user's for root's that lies in his directory as well",
  async () => {
    const his = 64_321;
    for (const name of ['own', 'home', 'home/data']) mkdirSync(join(base, name));
    for (const name of ['home/out', 'home/in']) symlinkSync(name === 'home/out' ? '../own' : 'data', join(base, name));
    const accepted = async (name: string) =>
      (await acceptSources(given('host', [join(base, name)]), [])).volumes[0]!.path;
    expect(await accepted('home/out')).toBe(join(base, 'own'));
    chownSync(join(base, 'home'), his, his);
    await expect(accepted('home/out')).rejects.toMatchObject({
      message: expect.stringMatching(/is a link in a directory of user 64321 to what is not his$/),
    });
    expect(await accepted('home/in')).toBe(join(base, 'home/data'));
  },
);

it.runIf(process.getuid?.() === 0).each([
  ['more of them than are followed, and one', 'step0'],
  ['a file of root that lies there, and one', undefined],
])("is not misled by another user's links: %s, exchanged", async (_, other) => {
  const his = 64_321;
  for (const name of ['own', 'his']) mkdirSync(join(base, name));
  chownSync(join(base, 'his'), his, his);
  for (let step = 0; step < 45; step++) {
    symlinkSync(`step${step + 1}`, join(base, `his/step${step}`));
    lchownSync(join(base, `his/step${step}`), his, his);
  }
  const way = join(base, 'his/way');
  const put = async (target: string | undefined) => {
    if (target === undefined) await writeFile(`${way}.next`, '');
    else await symlink(target, `${way}.next`).then(() => lchown(`${way}.next`, his, his));
    await rename(`${way}.next`, way);
  };
  await put('../own');
  let over = false;
  const exchanged = (async () => {
    for (let turn = 0; !over; turn++) await put(turn % 2 === 0 ? other : '../own');
  })();
  const found = await Promise.allSettled(Array.from({ length: 300 }, () => acceptSources(given('host', [way]), [])));
  over = true;
  await exchanged;
  const accepted = found.flatMap((each) => (each.status === 'fulfilled' ? each.value.volumes : []));
  expect(accepted.filter(({ path }) => path !== way)).toEqual([]);
});
