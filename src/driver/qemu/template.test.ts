import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnusableTemplate } from '../driver.ts';
import { type TemplateKey, TemplateStore, templateKey } from './template.ts';

const facts: TemplateKey = {
  ...{ imageDigest: 'i', qemuVersion: 'q', accelerator: 'tcg', tscKhz: 2_600_000, cpus: 1, memoryBytes: 256 * 2 ** 20 },
};
const key = (cpus: number) => templateKey({ ...facts, cpus });

describe('templateKey', () => {
  it('differs in everything that a template depends on', () => {
    const changes: Partial<TemplateKey>[] = [
      {},
      { imageDigest: 'j' },
      { qemuVersion: 'r' },
      { accelerator: 'kvm' },
      { tscKhz: 2_601_000 },
      { cpus: 2 },
      { memoryBytes: 2 ** 30 },
    ];
    expect(new Set(changes.map((change) => templateKey({ ...facts, ...change }))).size).toBe(changes.length);
  });
});

describe('TemplateStore', () => {
  const signal = new AbortController().signal;
  let directory: string;
  let builds: number;
  beforeEach(async () => {
    directory = join(await mkdtemp(join(tmpdir(), 'pk-templates-')), 'templates');
    builds = 0;
  });
  afterEach(() => rm(join(directory, '..'), { recursive: true }));

  async function build(work: string): Promise<void> {
    builds += 1;
    await Promise.all([writeFile(join(work, 'ram'), 'memory'), writeFile(join(work, 'state'), `state ${builds}`)]);
  }

  it('makes a template once, however many ask at the same time', async () => {
    const stores = [new TemplateStore(directory), new TemplateStore(directory)];
    const found = await Promise.all(
      stores.flatMap((store) => [store.ensure(key(1), 1, build, signal), store.ensure(key(1), 1, build, signal)]),
    );
    expect(builds).toBe(1);
    expect(new Set(found.map(({ state }) => state)).size).toBe(1);
    expect(await readFile(found[0]!.ram, 'utf8')).toBe('memory');
    expect((await stat(found[0]!.ram)).mode & 0o777).toBe(0o444);
  });

  /** Has a template made up to its `end`. */
  async function begin(store: TemplateStore, memoryBytes: number) {
    const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const builder = async (work: string) => {
      begun.resolve();
      await end.promise;
      await build(work);
    };
    const made = store.ensure(key(1), memoryBytes, builder, signal);
    await begun.promise;
    return { made, end };
  }

  it('lets nobody wait for a kernel that hangs while it boots, but who wants the same', async () => {
    const [hung, others] = [new TemplateStore(directory, 2), new TemplateStore(directory, 2)];
    const { made: hanging, end } = await begin(hung, 1);
    // Also where there are more than are kept.
    for (const cpus of [2, 3, 4]) await others.ensure(key(cpus), 1, build, AbortSignal.timeout(10_000));
    await others.failed(key(4), 'x', false);
    await others.sweep();
    await expect(others.ensure(key(1), 1, build, AbortSignal.timeout(300))).rejects.toThrow();
    end.resolve();
    await hanging;
    expect(await hung.find(key(1))).toBeDefined();
  });

  it('leaves nothing of a build that fails', async () => {
    const store = new TemplateStore(directory);
    const failing = store.ensure(
      key(1),
      1,
      async (work) => {
        await build(work);
        throw new Error('no luck');
      },
      signal,
    );
    await expect(failing).rejects.toThrow('no luck');
    expect(await readdir(directory)).toEqual(['locks']);
    await store.ensure(key(1), 1, build, signal);
    expect(builds).toBe(2);
  });

  it('takes no state that the daemon could not read', async () => {
    const store = new TemplateStore(directory);
    const flooding = store.ensure(
      key(1),
      1,
      async (work) => {
        await build(work);
        await truncate(join(work, 'state'), 2 ** 40);
      },
      signal,
    );
    await expect(flooding).rejects.toThrow(/the state of a template has 1099511627776 bytes/);
    expect(await readdir(directory)).toEqual(['locks']);
  });

  it('makes a template again when its files are damaged', async () => {
    const store = new TemplateStore(directory);
    const { state, ram } = await store.ensure(key(1), 1, build, signal);
    for (const [path, bytes] of [
      [state, 'state X'],
      [ram, 'less'],
    ] as const) {
      await rm(path);
      await writeFile(path, bytes);
      expect(await store.find(key(1))).toBeUndefined();
      await store.ensure(key(1), 1, build, signal);
      expect(await store.find(key(1))).toBeDefined();
    }
    expect(builds).toBe(3);
  });

  it('removes those that were not used for longest, and what a killed process left', async () => {
    const store = new TemplateStore(directory, 2);
    await store.ensure(key(1), 1, build, signal);
    await store.ensure(key(2), 1, build, signal);
    await utimes(join(directory, key(2), 'meta.json'), new Date(1000), new Date(1000));
    for (const name of ['work-abandoned', `work-${key(2).slice(0, 16)}-0`, `work-${key(3).slice(0, 16)}-0`])
      await mkdir(join(directory, name));
    await store.ensure(key(3), 1, build, signal);
    expect((await readdir(directory)).sort()).toEqual([key(1), key(3), 'lock', 'locks'].sort());
  });

  it('makes none where the disk has no room for all memory of those that are made now', async () => {
    const store = new TemplateStore(directory, 8, undefined, () => ({ free: 2 ** 30 + 100, size: 2 ** 40 }));
    const { made: making, end } = await begin(store, 60);
    const error = await store.ensure(key(2), 60, build, signal).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(UnusableTemplate);
    expect(error).toMatchObject({ code: 'internal', message: expect.stringContaining('no room for a template') });
    end.resolve();
    await making;
    await store.ensure(key(2), 60, build, signal);
    // One that is there needs none.
    await store.ensure(key(1), 1000, build, signal);
    await expect(store.ensure(key(3), 101, build, signal)).rejects.toThrow(UnusableTemplate);
    expect(builds).toBe(2);
    expect((await readdir(directory)).filter((name) => name.startsWith('work-'))).toEqual([]);
  });

  it('keeps no more of them than a quarter of the disk', async () => {
    const store = new TemplateStore(directory, 8, undefined, () => ({ free: 2 ** 40, size: 40_000 }));
    const large = async (work: string) => {
      await build(work);
      await writeFile(join(work, 'ram'), randomBytes(4096));
    };
    for (const cpus of [1, 2, 3]) await store.ensure(key(cpus), 1, large, signal);
    expect((await readdir(directory)).filter((name) => name.length === 64)).toHaveLength(2);
    expect(await store.find(key(1))).toBeUndefined();
    expect(await store.find(key(3))).toBeDefined();
  });

  it('forgets a template that proved useless', async () => {
    const store = new TemplateStore(directory);
    await store.ensure(key(1), 1, build, signal);
    await store.failed(key(1), 'x', false);
    await store.failed(key(1), 'x', false);
    expect(await store.find(key(1))).toBeUndefined();
  });

  it('forgets none by the fault of an instance whose boot fails too', async () => {
    const store = new TemplateStore(directory);
    await store.ensure(key(1), 1, build, signal);
    // Its root makes the kernel panic, say.
    await store.failed(key(1), 'hostile', true);
    await store.booted('hostile', false);
    await store.booted('hostile', true);
    await store.booted('other', true);
    expect(await store.find(key(1))).toBeDefined();
    await store.failed(key(1), 'sound', true);
    await store.booted('sound', true);
    expect(await store.find(key(1))).toBeUndefined();
  });
});
