import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { run } from '../sys/process.ts';
import { findTool } from '../sys/tools.ts';
import { type ListedModule, moduleLists, trie } from './module-index.ts';

const MODULES: ListedModule[] = [
  { name: 'pk_top', path: 'kernel/fs/pk_top.ko', depends: ['pk_mid', 'pk_low'], aliases: ['fs-top'], softDepends: [] },
  { name: 'pk_mid', path: 'kernel/fs/pk_mid.ko', depends: ['pk_low'], aliases: [], softDepends: ['pre: a post: b'] },
  { name: 'pk_low', path: 'kernel/lib/pk_low.ko', depends: [], aliases: ['pci:v[0-9-]*'], softDepends: [] },
];

describe('trie', () => {
  it('has every key with its values, in their order, and no other', () => {
    const entries = fc.array(fc.tuple(fc.stringMatching(/^[a-d_]{1,6}$/), fc.stringMatching(/^[a-z]{0,4}$/)));
    fc.assert(
      fc.property(entries, fc.stringMatching(/^[a-d_]{1,7}$/), (all, other) => {
        const index = trie(all);
        for (const key of [...all.map(([each]) => each), other]) {
          expect(lookUp(index, key)).toEqual(all.filter(([each]) => each === key).map(([, value]) => value));
        }
      }),
    );
  });
});

describe('moduleLists', () => {
  it('lists what is loaded first last, and each once', () => {
    const lists = moduleLists(MODULES, new Set(['pk_part']));
    expect(lists.get('modules.dep')).toBe(
      'kernel/fs/pk_top.ko: kernel/fs/pk_mid.ko kernel/lib/pk_low.ko\nkernel/fs/pk_mid.ko: kernel/lib/pk_low.ko\nkernel/lib/pk_low.ko:\n',
    );
    expect(lists.get('modules.alias')).toContain('\nalias fs-top pk_top\nalias pci:v[0-9-]* pk_low\n');
    expect(lists.get('modules.softdep')).toContain('\nsoftdep pk_mid pre: a post: b\n');
    expect(lookUp(lists.get('modules.alias.bin') as Buffer, 'fs_top')).toEqual(['pk_top']);
    expect(lookUp(lists.get('modules.alias.bin') as Buffer, 'pci:v[0-9-]*')).toEqual(['pk_low']);
    expect(lookUp(lists.get('modules.builtin.bin') as Buffer, 'pk_part')).toEqual(['']);
  });

  it('counts a cipher that is asked for by name as a dependency, where one works everywhere', () => {
    const module = (name: string, softDepends: string[]) => ({ ...MODULES[2]!, name, path: `${name}.ko`, softDepends });
    const lists = moduleLists(
      [module('libcrc32c', ['pre: crypto-crc32c', 'pre: nls post: crc32c']), module('crc32c_generic', [])],
      new Set(),
    );
    expect(lists.get('modules.dep')).toBe('libcrc32c.ko: crc32c_generic.ko\ncrc32c_generic.ko:\n');
  });

  it('leaves out aliases that would break a line', () => {
    const [first] = MODULES;
    const lists = moduleLists([{ ...first!, depends: [], aliases: ['a b', 'a\nalias evil x', 'ü'] }], new Set());
    expect((lists.get('modules.alias') as string).split('\n')).toHaveLength(2);
  });

  it.runIf(findTool('modprobe') !== undefined)('is what kmod reads', async () => {
    const root = mkdtempSync(join(tmpdir(), 'pk-kmod-'));
    const directory = join(root, 'lib/modules/6.1.0-test');
    mkdirSync(directory, { recursive: true });
    for (const [name, content] of moduleLists(MODULES, new Set(['pk_part'])))
      writeFileSync(join(directory, name), content);
    // Files have to be there to be named.
    for (const { path } of MODULES) {
      mkdirSync(join(directory, path, '..'), { recursive: true });
      writeFileSync(join(directory, path), '');
    }
    const show = async (name: string) => {
      const ran = await run([findTool('modprobe')!.path, '-d', root, '-S', '6.1.0-test', '--show-depends', name], {});
      return ran.stdout.replaceAll(`${directory}/kernel/`, '').trim();
    };
    expect(await show('pk_top')).toBe('insmod lib/pk_low.ko \ninsmod fs/pk_mid.ko \ninsmod fs/pk_top.ko');
    expect(await show('fs-top')).toBe(await show('pk_top'));
    expect(await show('pci:v7')).toBe('insmod lib/pk_low.ko');
    expect(await show('pk_part')).toBe('builtin pk_part');
    rmSync(root, { recursive: true });
  });
});

/** All values of a key, as libkmod finds them. */
function lookUp(index: Buffer, key: string): string[] {
  expect([index.readUInt32BE(0), index.readUInt32BE(4)]).toEqual([0xb007f457, 0x00020001]);
  let reference = index.readUInt32BE(8);
  let rest = key;
  for (;;) {
    let at = reference & 0x0fffffff;
    const text = () => {
      const end = index.indexOf(0, at);
      const value = index.toString('latin1', at, end);
      at = end + 1;
      return value;
    };
    if (reference & 0x80000000) {
      const prefix = text();
      if (!rest.startsWith(prefix)) return [];
      rest = rest.slice(prefix.length);
    }
    let next = 0;
    if (reference & 0x20000000) {
      const [first, last] = [index[at]!, index[at + 1]!];
      const code = rest.charCodeAt(0);
      if (code >= first && code <= last) next = index.readUInt32BE(at + 2 + 4 * (code - first));
      at += 2 + 4 * (last - first + 1);
    }
    if (rest === '') {
      const count = reference & 0x40000000 ? index.readUInt32BE(at) : 0;
      at += 4;
      const values = Array.from({ length: count }, () => {
        const priority = index.readUInt32BE(at);
        at += 4;
        return { priority, value: text() };
      });
      return values.sort((a, b) => a.priority - b.priority).map(({ value }) => value);
    }
    if (next === 0) return [];
    reference = next;
    rest = rest.slice(1);
  }
}
