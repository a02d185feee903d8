import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { daemonEnvironment, proxyEnvironment, toolEnvironment } from './environment.ts';

const SYSTEM = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'pk-path-'));
});
afterEach(() => rmSync(base, { recursive: true }));

const CALLER = {
  SECRET: 'x',
  NODE_OPTIONS: '--require /tmp/x.cjs',
  NODE_EXTRA_CA_CERTS: '/x',
  LD_PRELOAD: '/x.so',
  BASH_ENV: '/x',
  APT_CONFIG: '/x',
  TMPDIR: '/x',
  HOME: '/home/a',
  POLYKERNEL_FAKE: '1',
  https_proxy: 'http://user:word@proxy',
  PATH: '/bin',
};

it('the daemon gets its places, its settings and the proxies', () => {
  expect(daemonEnvironment(CALLER)).toEqual({
    PATH: '/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin',
    LC_ALL: 'C.UTF-8',
    HOME: '/home/a',
    POLYKERNEL_FAKE: '1',
    https_proxy: 'http://user:word@proxy',
    NODE_COMPILE_CACHE: '/home/a/.cache/polykernel/compile',
  });
});

it('a tool gets a search path, English and what it needs', () => {
  const more = { LD_LIBRARY_PATH: '/lib', UNSET: undefined };
  expect(toolEnvironment(more, CALLER)).toEqual({
    PATH: '/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin',
    LC_ALL: 'C.UTF-8',
    LD_LIBRARY_PATH: '/lib',
  });
  expect(proxyEnvironment(CALLER)).toEqual({ https_proxy: 'http://user:word@proxy' });
});

it('the search path has no directory of the working directory, nor one that others may write to', () => {
  expect(toolEnvironment({}, { PATH: '.:bin::./x' }).PATH).toBe(SYSTEM);
  expect(toolEnvironment({}, {}).PATH).toBe(SYSTEM);
  const open = join(base, 'open');
  const own = join(base, 'own');
  for (const path of [open, own]) mkdirSync(path, { mode: 0o755 });
  chmodSync(open, 0o775);
  expect(daemonEnvironment({ PATH: `${open}:${own}:${base}/absent:/etc/passwd/x:/tmp` }).PATH).toBe(`${own}:${SYSTEM}`);
});

it.runIf(process.getuid?.() === 0)('nor one of another user', () => {
  chownSync(base, 65534, 65534);
  expect(daemonEnvironment({ PATH: base }).PATH).toBe(SYSTEM);
});
