/** File systems that others serve, and that never answer. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ingestApart } from '../../src/image/apart.ts';
import { ImageStore } from '../../src/image/store.ts';
import { run } from '../../src/sys/process.ts';
import { startDaemon, untilState } from '../support/harness.ts';
import { canServe, silentAround, silentMount } from '../support/silent-mount.ts';

it.runIf(canServe())(
  'keep from others neither the daemon nor its files, as roots, volumes and working directories',
  async () => {
    const test = await startDaemon();
    const { path, end } = silentMount();
    try {
      const stuck = ['a', 'b', 'c'].flatMap((name) => [
        test.create({ command: ['true'], root: path }),
        test.create({ command: ['true'], volumes: [{ source: join(path, name), target: '/x', readOnly: false }] }),
        test.create({ command: ['true'], cwd: join(path, name) }),
      ]);
      const outcomes = Promise.allSettled(stuck);
      await test.create({ name: 'free', command: ['sleep'] });
      await untilState(test, 'free', 'running');
      end();
      // The working directory is only a wish, and gone now.
      expect((await outcomes).map(({ status }) => status).filter((status) => status === 'rejected')).toHaveLength(6);
    } finally {
      end();
    }
  },
);

it.runIf(canServe())('keep nobody else from images where a kernel is imported from one', async () => {
  const cache = mkdtempSync(join(tmpdir(), 'pk-silent-images-'));
  const store = new ImageStore({ cache });
  const { path, end } = silentMount();
  try {
    const stuck = [{ kernel: join(path, 'vmlinux') }, { kernel: '/dev/null', modules: path }].map((request) =>
      store.import({ name: 'stuck', ...request }),
    );
    const outcomes = Promise.allSettled(stuck);
    const said: string[] = [];
    await expect(store.import({ name: 'free', kernel: '/dev/null' }, (line) => said.push(line))).rejects.toMatchObject({
      message: expect.stringContaining('not a regular file'),
    });
    expect(said).toEqual([]);
    end();
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  } finally {
    end();
    rmSync(cache, { recursive: true });
  }
});

it.runIf(canServe())('cannot hold who waits for the reader of a kernel, though that cannot be killed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-silent-reader-'));
  const { path, swallow, end } = await silentAround();
  try {
    const program = join(directory, 'reader.mjs');
    writeFileSync(program, `import { statSync } from 'node:fs'; statSync(${JSON.stringify(path)});`);
    const source = { kernel: path, modules: undefined, source: 'test' };
    const stop = new AbortController();
    const reading = ingestApart({ source, directory }, { program, signal: stop.signal });
    reading.catch(() => {});
    const deadline = AbortSignal.timeout(30_000);
    while (!swallow()) await delay(5, undefined, { signal: deadline });
    stop.abort(new Error('no longer wanted'));
    await expect(reading).rejects.toThrow('no longer wanted');
  } finally {
    end();
    rmSync(directory, { recursive: true });
  }
});

it.runIf(canServe())(
  'keep nobody from finding what a host root must not show, also where the kernel is seen in one',
  async () => {
    const { end } = await silentAround(tmpdir(), 'proc');
    try {
      const host = new URL('../../src/driver/jail/host.ts', import.meta.url).href;
      const script = `import { hostCovers } from ${JSON.stringify(host)};
      setImmediate(() => console.log('goes on'));
      console.log((await hostCovers()).some(({ path }) => path === '/proc') && 'found');
      process.kill(process.pid, 'SIGKILL');`;
      const argv = [process.execPath, '--input-type=module-typescript', '--eval', script];
      expect((await run(argv, { deadlineMs: 30_000 })).stdout).toBe('goes on\nfound\n');
    } finally {
      end();
    }
  },
);

it.runIf(canServe())(
  'keep nobody from starting a daemon, or kernels, where another daemon has its state in one',
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pk-silent-homes-'));
    const { path, end } = silentMount();
    try {
      const from = (file: string) => JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href);
      const script = `
      import { ownPlaces } from ${from('driver/jail/host.ts')};
      import { IdRegistry } from ${from('instance/id-registry.ts')};
      import { userHomes } from ${from('instance/user-homes.ts')};
      setImmediate(() => console.log('goes on'));
      const home = ${JSON.stringify(path)} + '/home';
      const [all, file] = [${JSON.stringify(directory)} + '/all', ${JSON.stringify(directory)} + '/ids.db'];
      new IdRegistry(home, { file }).take('x');
      const registry = new IdRegistry('/elsewhere', { file });
      await registry.releaseAllBut(() => new Set());
      console.log(registry.homes().includes(home) && 'its ranges are kept');
      await userHomes(home, all);
      console.log((await userHomes(all, all))().includes(home) && 'it is still noted');
      const image = { root: { kind: 'squashfs', path: '/x' }, volumes: [], homes: [home] };
      console.log(await ownPlaces(image));
      console.log(await ownPlaces({ ...image, root: { kind: 'directory', path: '/x' } }).catch(({ code }) => code));
      process.kill(process.pid, 'SIGKILL');`;
      const node = [process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module-typescript'];
      expect((await run([...node, '--eval', script], { deadlineMs: 60_000 })).stdout).toBe(
        'goes on\nits ranges are kept\nit is still noted\n[]\nunavailable\n',
      );
    } finally {
      end();
      rmSync(directory, { recursive: true });
    }
  },
);

it.runIf(canServe())(
  'keep a daemon from nothing where they hold what guests are told of this machine, and its modules',
  async () => {
    const root = mkdtempSync(join(tmpdir(), 'pk-silent-machine-'));
    const { path, end } = silentMount();
    try {
      for (const each of ['etc', 'sbin', 'usr/lib']) mkdirSync(join(root, each), { recursive: true });
      writeFileSync(join(root, 'sbin/modprobe'), '', { mode: 0o755 });
      symlinkSync('usr/lib', join(root, 'lib'));
      for (const [link, target] of Object.entries({ 'usr/lib/modules': path, 'etc/hosts': join(path, 'hosts') }))
        symlinkSync(target, join(root, link));
      const file = new URL('../../src/driver/machine-root.ts', import.meta.url).href;
      const script = `import { machineRoot } from ${JSON.stringify(file)};
      setImmediate(() => console.log('goes on'));
      console.log(Object.values(await machineRoot('6.1.0', ${JSON.stringify(root)})));
      process.kill(process.pid, 'SIGKILL');`;
      const argv = [process.execPath, '--input-type=module-typescript', '--eval', script];
      expect((await run(argv, { deadlineMs: 30_000 })).stdout).toBe('goes on\n[ undefined, undefined, undefined ]\n');
    } finally {
      end();
      rmSync(root, { recursive: true });
    }
  },
);
