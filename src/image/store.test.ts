import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withLock } from './lock.ts';
import { ImageStore } from './store.ts';
import { bzImage, elfKernel, kernelModule } from './testing.ts';

let directory: string;
let cache: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-store-'));
  cache = join(directory, 'cache');
  mkdirSync(join(directory, 'modules/kernel'), { recursive: true });
  for (const [name, depends] of [
    ['virtio', ''],
    ['virtio_pci', 'virtio'],
    ['virtio_console', 'virtio'],
    ['overlay', ''],
  ]) {
    writeFileSync(join(directory, `modules/kernel/${name}.ko`), kernelModule(depends!));
  }
  writeFileSync(join(directory, 'vmlinuz'), bzImage(gzipSync(elfKernel())));
  writeFileSync(join(directory, 'builtin'), elfKernel({ text: 'virtio-pci\0virtio_console', release: '6.2.0' }));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

let agent = Buffer.from('agent 1');
const makeStore = () =>
  new ImageStore({
    cache,
    readPrograms: async () => ({ init: agent, tools: {} }),
    now: () => new Date('2026-01-02T03:04:05Z'),
    fetch: async () => ({
      kernel: join(directory, 'vmlinuz'),
      modules: join(directory, 'modules'),
      source: 'linux-image-test 1',
    }),
  });
const blobs = () => readdirSync(join(cache, 'images/blobs/sha256'));

describe('ImageStore', () => {
  it('pulls, lists and resolves an image', async () => {
    const store = makeStore();
    const lines: string[] = [];
    const summary = await store.pull('debian:amd64', (line) => lines.push(line));
    expect(await store.list()).toEqual([summary]);
    expect(summary).toMatchObject({ kind: 'x86_64', version: '6.1.0-test', createdAt: '2026-01-02T03:04:05.000Z' });
    const image = await store.resolve('debian:amd64');
    expect(image.digest).toBe(summary.digest);
    expect(image.modules).toEqual({
      boot: ['/lib/modules/virtio.ko', '/lib/modules/virtio_pci.ko', '/lib/modules/virtio_console.ko'],
      overlay: ['/lib/modules/overlay.ko'],
    });
    expect(readFileSync(image.kernel).equals(elfKernel())).toBe(true);
    const initramfs = readFileSync(image.initramfs, 'latin1');
    for (const part of ['init\0', 'agent 1', 'lib/modules/overlay.ko\0']) expect(initramfs).toContain(part);
    expect(lines.some((line) => line.includes('no module ext4'))).toBe(true);
    expect(existsSync(join(cache, 'images/tmp'))).toBe(false);
  });

  it('composes the initramfs anew when the agent changes', async () => {
    const store = makeStore();
    await store.pull('debian:amd64');
    const before = await store.resolve('debian:amd64');
    agent = Buffer.from('agent 2');
    const after = await store.resolve('debian:amd64');
    expect(after.digest).not.toBe(before.digest);
    expect(after.kernel).toBe(before.kernel);
    expect(readFileSync(after.initramfs, 'latin1')).toContain('agent 2');
  });

  it('imports a kernel with everything built in, and refuses one whose control port cannot work', async () => {
    const store = makeStore();
    await store.import({ name: 'mine', kernel: join(directory, 'builtin') });
    expect(await store.resolve('mine')).toMatchObject({ version: '6.2.0', modules: {} });
    await expect(store.import({ name: 'other', kernel: join(directory, 'vmlinuz') })).rejects.toMatchObject({
      code: 'invalid',
      field: '--modules',
      message: expect.stringContaining('no driver virtio_pci'),
    });
    expect((await store.list()).map((image) => image.name)).toEqual(['mine']);
  });

  it('finds the modules of the kernel among those of others', async () => {
    mkdirSync(join(directory, 'root/lib/modules/6.1.0-test'), { recursive: true });
    for (const name of ['virtio_pci', 'virtio_console']) {
      writeFileSync(join(directory, `root/lib/modules/6.1.0-test/${name}.ko`), kernelModule(''));
    }
    const request = { name: 'mine', kernel: join(directory, 'vmlinuz'), modules: join(directory, 'root') };
    await makeStore().import(request);
    expect((await makeStore().resolve('mine')).modules.boot).toHaveLength(2);
  });

  it.each([
    ['Bad Name', 'invalid', /not a name for an image/],
    ['../x', 'invalid', /not a name for an image/],
    ['debian:uml', 'invalid', /kept for images that are pulled/],
    ['taken', 'conflict', /there is an image taken already/],
  ])('refuses the name %s', async (name, code, message) => {
    const store = makeStore();
    await store.import({ name: 'taken', kernel: join(directory, 'builtin') });
    await expect(store.import({ name, kernel: join(directory, 'builtin') })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('names what there is when an image is unknown', async () => {
    const store = makeStore();
    await store.import({ name: 'mine', kernel: join(directory, 'builtin') });
    await expect(store.resolve('debian:umll')).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('did you mean debian:uml?'),
      hint: expect.stringContaining('Images here: mine'),
    });
    await expect(store.resolve('debian:uml')).rejects.toMatchObject({
      hint: expect.stringContaining('pk image pull debian:uml'),
    });
    await expect(store.pull('fedora:amd64')).rejects.toMatchObject({ code: 'not-found' });
    await expect(store.remove('fedora')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('removes what nothing else needs, and nothing in use', async () => {
    const store = makeStore();
    await store.pull('debian:amd64');
    await store.resolve('debian:amd64');
    await store.import({ name: 'mine', kernel: join(directory, 'vmlinuz'), modules: join(directory, 'modules') });
    await store.import({ name: 'builtin', kernel: join(directory, 'builtin') });
    await expect(store.remove('mine', () => ['web'])).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('in use by web'),
    });
    const before = blobs().length;
    await store.remove('mine');
    expect(blobs()).toHaveLength(before);
    await store.resolve('debian:amd64');
    await store.remove('debian:amd64');
    expect(blobs()).toHaveLength(1);
    expect(readdirSync(join(cache, 'images/initramfs'))).toEqual([]);
    await store.resolve('builtin');
  });

  it('lets two pull at once', async () => {
    const stores = [makeStore(), makeStore(), makeStore()];
    await Promise.all(stores.map((store) => store.pull('debian:amd64')));
    expect(await makeStore().list()).toHaveLength(1);
    await makeStore().resolve('debian:amd64');
  });

  it('shows nothing of a pull that failed half-way, and cleans up after a crash', async () => {
    const store = makeStore();
    writeFileSync(join(directory, 'modules/kernel/overlay.ko'), 'not a module');
    await expect(store.pull('debian:amd64')).rejects.toMatchObject({ code: 'invalid' });
    expect(await store.list()).toEqual([]);
    await expect(store.resolve('debian:amd64')).rejects.toMatchObject({ code: 'not-found' });
    // What SIGKILL leaves behind: unfinished files and no lock holder.
    mkdirSync(join(cache, 'images/tmp/half'), { recursive: true });
    writeFileSync(join(cache, 'images/tmp/half/file'), 'x');
    await store.import({ name: 'mine', kernel: join(directory, 'builtin') });
    expect(existsSync(join(cache, 'images/tmp'))).toBe(false);
  });

  it('says which image is damaged and what to do', async () => {
    const store = makeStore();
    await store.pull('debian:amd64');
    const { kernel } = await store.resolve('debian:amd64');
    writeFileSync(kernel, 'short');
    const damaged = {
      code: 'internal',
      message: expect.stringContaining('is damaged'),
      hint: expect.stringContaining('pk image rm'),
    };
    await expect(store.resolve('debian:amd64')).rejects.toMatchObject(damaged);
    writeFileSync(join(cache, 'images/names/debian:amd64.json'), '{"format":1,');
    await expect(store.resolve('debian:amd64')).rejects.toMatchObject(damaged);
    expect(await store.list()).toEqual([]);
    await store.remove('debian:amd64');
    expect(blobs()).toEqual([]);
  });
});

describe('withLock', () => {
  it('is freed by the death of its holder', async () => {
    const path = join(directory, 'lock');
    // Reachable, or the lock would go with the garbage.
    const script = `
      globalThis.held = new Promise(() => {});
      import { withLock } from ${JSON.stringify(join(import.meta.dirname, 'lock.ts'))};
      await withLock(${JSON.stringify(path)}, () => { console.log('held'); setInterval(() => {}, 1000); return globalThis.held; });`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    let waited = false;
    const onWait = () => {
      waited = true;
      holder.kill('SIGKILL');
    };
    try {
      expect(await withLock(path, async () => 'mine', { onWait })).toBe('mine');
    } finally {
      holder.kill('SIGKILL');
    }
    expect(waited).toBe(true);
    expect(statSync(path).size).toBe(0);
  });

  it('stops waiting when told to', async () => {
    const path = join(directory, 'lock');
    const stop = new AbortController();
    await withLock(path, async () => {
      const waiting = withLock(path, async () => {}, { onWait: () => stop.abort(), signal: stop.signal });
      await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    });
  });
});
