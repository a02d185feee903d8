import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from './process.ts';
import { removeTree } from './remove-tree.ts';

/** A checkout in a home directory of root's is out of reach for others. */
const OTHER = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
const canBeOther =
  process.getuid?.() === 0 &&
  spawnSync(OTHER[0]!, [...OTHER.slice(1), 'test', '-r', join(import.meta.dirname, 'remove-tree.ts')]).status === 0;
let base: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'pk-remove-'));
  chmodSync(base, 0o777);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

describe('removeTree', () => {
  it('is content with a directory that is not there', async () => {
    await removeTree(join(base, 'none'));
  });

  it('follows no link', async () => {
    const outside = join(base, 'outside');
    mkdirSync(join(outside, 'kept'), { recursive: true });
    writeFileSync(join(outside, 'file'), 'mine');
    chmodSync(outside, 0o500);
    const tree = join(base, 'tree');
    mkdirSync(join(tree, 'inner'), { recursive: true });
    symlinkSync(outside, join(tree, 'link'));
    symlinkSync(join(outside, 'file'), join(tree, 'inner', 'link'));
    symlinkSync(outside, join(tree, 'inner', 'directory'));
    await removeTree(tree);
    expect(existsSync(tree)).toBe(false);
    expect(readFileSync(join(outside, 'file'), 'utf8')).toBe('mine');
    expect(existsSync(join(outside, 'kept'))).toBe(true);
    await expect(removeTree(join(base, 'dangling'))).resolves.toBeUndefined();
    symlinkSync(outside, join(base, 'itself'));
    await expect(removeTree(join(base, 'itself'))).rejects.toMatchObject({ code: 'internal' });
    expect(existsSync(join(outside, 'file'))).toBe(true);
    chmodSync(outside, 0o700);
  });

  it('gets to the end of what is deeper than any path may be', async () => {
    const name = 'd'.repeat(200);
    let inner = join(base, 'first');
    mkdirSync(inner);
    // From the inside out, since no path could name the innermost.
    for (let depth = 0; depth < 60; depth++) {
      const outer = join(base, `level-${depth}`);
      mkdirSync(outer);
      writeFileSync(join(outer, 'file'), '');
      renameSync(inner, join(outer, name));
      inner = outer;
    }
    await removeTree(inner);
    expect(existsSync(inner)).toBe(false);
  });

  it('takes names that are no text', async () => {
    const tree = join(base, 'tree');
    const odd = Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0x0a, 0x1b])]);
    mkdirSync(odd, { recursive: true });
    writeFileSync(Buffer.concat([odd, Buffer.from('/\xfe', 'latin1')]), '');
    await removeTree(tree);
    expect(existsSync(tree)).toBe(false);
  });

  it('lets other work go on', async () => {
    const tree = join(base, 'tree');
    for (const directory of ['a', 'b']) {
      mkdirSync(join(tree, directory), { recursive: true });
      for (let file = 0; file < 1000; file++) writeFileSync(join(tree, directory, String(file)), '');
    }
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    await removeTree(tree);
    clearInterval(timer);
    expect(existsSync(tree)).toBe(false);
    expect(turns).toBeGreaterThan(5);
  });

  it.runIf(canBeOther)('removes directories that shut an ordinary user out, and names what it cannot', async () => {
    const tree = join(base, 'tree');
    const script = `
      const { mkdirSync, writeFileSync, chmodSync } = await import('node:fs');
      const { removeTree } = await import(${JSON.stringify(join(import.meta.dirname, 'remove-tree.ts'))});
      const tree = ${JSON.stringify(tree)};
      mkdirSync(tree + '/a/b/c', { recursive: true });
      writeFileSync(tree + '/a/b/c/file', '');
      for (const path of ['/a/b/c', '/a/b', '/a', '']) chmodSync(tree + path, 0);
      await removeTree(tree);
      process.stdout.write('done');
    `;
    const asNobody = async (code: string) => {
      const node = [process.execPath, '--input-type=module', '--eval', code];
      const ran = await run([...OTHER, ...node]);
      expect(ran.stderr).toBe('');
      return ran.stdout;
    };
    expect(await asNobody(script)).toBe('done');
    expect(existsSync(tree)).toBe(false);
    // Not its own, so that it cannot be emptied.
    mkdirSync(join(tree, 'foreign'), { recursive: true });
    writeFileSync(join(tree, 'foreign', 'file'), '');
    chmodSync(tree, 0o777);
    const refused = `
      const { removeTree } = await import(${JSON.stringify(join(import.meta.dirname, 'remove-tree.ts'))});
      await removeTree(${JSON.stringify(tree)}).catch((error) => process.stdout.write(error.message));
    `;
    expect(await asNobody(refused)).toMatch(/foreign.* cannot be removed \(E(ACCES|PERM)\)/);
    expect(existsSync(join(tree, 'foreign', 'file'))).toBe(true);
  });
});
