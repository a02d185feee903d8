import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runTool } from '../../test/support/tools.ts';
import { chooseModules, loadOrder, parseBuiltin, readModuleInfo } from './modules.ts';
import { kernelModule } from './testing.ts';

describe('loadOrder', () => {
  it('puts each module after what it needs, once', () => {
    const graph: Record<string, string[]> = { a: ['b', 'c'], b: ['d'], c: ['d'], d: [] };
    expect(loadOrder(['a', 'c'], (name) => graph[name])).toEqual(['d', 'b', 'c', 'a']);
  });

  it('leaves out what is part of the kernel, and ends on a cycle', () => {
    const graph: Record<string, string[]> = { a: ['builtin', 'b'], b: ['a'] };
    expect(loadOrder(['a'], (name) => graph[name])).toEqual(['b', 'a']);
  });

  it('is right for any graph without cycles', () => {
    // Edges only lead to higher numbers, so there is no cycle.
    const graphs = fc.array(fc.array(fc.nat(30), { maxLength: 5 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(graphs, (rows) => {
        const depends = rows.map((row, from) => row.filter((to) => to > from && to < rows.length));
        const order = loadOrder(['0'], (name) => depends[Number(name)]?.map(String));
        expect(new Set(order).size).toBe(order.length);
        for (const [position, name] of order.entries()) {
          for (const to of depends[Number(name)]!) expect(order.slice(0, position)).toContain(String(to));
        }
      }),
    );
  });
});

describe('readModuleInfo', () => {
  it('gives dependencies, soft ones too, and the kernel release', () => {
    const bytes = kernelModule('jbd2,mbcache', '6.1.0-9', ['softdep=pre: crc32c foo-bar post: late', 'alias=fs-ext4']);
    expect(readModuleInfo('ext4.ko', bytes)).toEqual({
      depends: ['jbd2', 'mbcache', 'crc32c', 'foo_bar'],
      needs: ['jbd2', 'mbcache'],
      softDepends: ['pre: crc32c foo-bar post: late'],
      aliases: ['fs-ext4'],
      version: '6.1.0-9',
    });
  });

  it('takes no alias that none has: one longer than any, or of several lines', () => {
    const aliases = ['pci:v*d[0-9]*', '['.repeat(1_025), 'a\nalias b c', 'a b', '', '['.repeat(1_024)];
    const bytes = kernelModule(
      '',
      '6.1.0',
      aliases.map((alias) => `alias=${alias}`),
    );
    expect(readModuleInfo('x.ko', bytes).aliases).toEqual([aliases[0], aliases.at(-1)]);
  });

  it('refuses what is no module', () => {
    expect(() => readModuleInfo('x.ko', Buffer.from('text'))).toThrow(/x\.ko is damaged: it has no \.modinfo/);
  });
});

it('reads modules.builtin', () => {
  expect(parseBuiltin('kernel/fs/ext4/ext4.ko\nkernel/crypto/crc32c-x.ko\n\n')).toEqual(new Set(['ext4', 'crc32c_x']));
});

describe('chooseModules', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'pk-modules-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const put = (path: string, bytes: Buffer) => {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), bytes);
  };

  it('closes over dependencies, unpacks, and names what is absent', async () => {
    put('drivers/virtio.ko', kernelModule(''));
    put('drivers/virtio_pci.ko.zst', zstdCompressSync(kernelModule('virtio')));
    put('char/virtio_console.ko.gz', gzipSync(kernelModule('virtio')));
    const packed = await runTool('xz', ['-c', '--check=crc32'], { input: kernelModule('') });
    put('fs/overlay.ko.xz', packed.stdoutBytes);
    put('block/virtio_blk.ko', kernelModule('virtio'));
    put('fs/unrelated.ko', kernelModule(''));
    const chosen = await chooseModules('x86_64', '6.1.0-test', directory, new Set(['squashfs']));
    expect(chosen.sets).toEqual({
      boot: ['virtio', 'virtio_pci', 'virtio_console'],
      overlay: ['overlay'],
      block: ['virtio_blk'],
    });
    expect(chosen.absent).toEqual(
      new Map([
        ['share', '9pnet_virtio'],
        ['network', 'virtio_net'],
        ['balloon', 'virtio_balloon'],
        ['panic', 'pvpanic_mmio'],
        ['watchdog', 'i6300esb'],
        ['ext4', 'ext4'],
      ]),
    );
    expect([...chosen.contents.keys()].sort()).toEqual([
      'overlay',
      'virtio',
      'virtio_blk',
      'virtio_console',
      'virtio_pci',
    ]);
    expect(chosen.contents.get('overlay')!.equals(kernelModule(''))).toBe(true);
  });

  it('refuses modules of another kernel', async () => {
    put('overlay.ko', kernelModule('', '5.10.0'));
    await expect(chooseModules('uml', '6.1.0-test', directory, new Set())).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('built for Linux 5.10.0, and the kernel is 6.1.0-test'),
    });
  });
});
