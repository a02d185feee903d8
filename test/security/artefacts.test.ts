/** What others made is interpreted by no program of the host that has the daemon's rights. */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { libraryBinds } from '../../src/driver/jail/host.ts';
import { cacheDirectory } from '../../src/sys/paths.ts';
import { run, which } from '../../src/sys/process.ts';
import { asUser, USER } from '../support/other-user.ts';

const SOURCES = join(import.meta.dirname, '../../src');

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-artefacts-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A program of the user's that has the loader run code of its own as soon as anybody lists its libraries. */
async function auditing(marker: string): Promise<string> {
  const [audit, program] = [join(directory, 'audit.so'), join(directory, 'linux')];
  const code = `#include <fcntl.h>
    unsigned la_version(unsigned version) { open("${marker}", O_CREAT | O_WRONLY, 0600); return version; }`;
  writeFileSync(join(directory, 'audit.c'), code);
  writeFileSync(join(directory, 'main.c'), 'int main(void) { return 0; }');
  for (const argv of [
    ['gcc', '-shared', '-fPIC', '-o', audit, join(directory, 'audit.c')],
    ['gcc', `-Wl,--audit=${audit}`, '-o', program, join(directory, 'main.c')],
  ]) {
    expect(await run(argv)).toMatchObject({ code: 0 });
  }
  chmodSync(program, 0o755);
  return program;
}

describe('a kernel program', () => {
  // Needs a shared library of the host's; a gcc that set-up unpacked without root makes none, and then there is none in PATH.
  it.skipIf(which('gcc') === undefined)('runs nothing when its libraries are looked for', async () => {
    const marker = join(directory, 'ran');
    const program = await auditing(marker);
    expect((await libraryBinds(program)).map(({ target }) => target)).toEqual([
      expect.stringMatching(/\/libc\.so\.6$/),
      expect.stringMatching(/^\/lib.*\/ld-linux/),
    ]);
    expect(existsSync(marker)).toBe(false);
    // The proof that there was something to run.
    if (which('ldd') === undefined) return;
    await run(['ldd', program]);
    expect(existsSync(marker)).toBe(true);
  });
});

describe('an unpacker', () => {
  it.runIf(process.getuid?.() === 0)(
    'of an ordinary user leaves no memory in a dump, wherever those are sent',
    async () => {
      const [cache, etc] = ['cache', 'etc'].map((name) => mkdtempSync(join(directory, name)));
      cpSync(join(cacheDirectory(), 'native'), join(cache!, 'native'), { recursive: true });
      for (const path of [directory, cache!]) chmodSync(path, 0o755);
      execFileSync('chown', ['-R', `${USER}:${USER}`, cache!]);
      const script = `
      import { readFileSync } from 'node:fs';
      import { Readable } from 'node:stream';
      import { startConfined } from ${JSON.stringify(new URL('../../src/sys/confined-tool.ts', import.meta.url).href)};
      const filter = (pid) => readFileSync('/proc/' + pid + '/coredump_filter', 'latin1').trim();
      const before = filter('self');
      const task = { subject: 'x', programs: ['busybox'], args: ['cat'], deadlineMs: 20_000 };
      const tool = startConfined({ ...task, input: new Readable({ read() {} }), output: 'stream' });
      const pid = readFileSync('/proc/self/task/' + process.pid + '/children', 'latin1').trim();
      console.log(filter(pid), filter('self') === before);
      tool.ended.catch(() => {});
      tool.stop(new Error('seen'));`;
      const node = [
        process.execPath,
        '--disable-warning=ExperimentalWarning',
        '--input-type=module-typescript',
        '--eval',
        script,
      ];
      const env = { ...process.env, POLYKERNEL_CACHE: cache };
      const ran = await run([...asUser(false, etc!), ...node], { env, deadlineMs: 30_000 });
      expect(ran).toMatchObject({ stdout: '00000000 true\n', code: 0 });
    },
  );
});

describe('the sources', () => {
  const texts = globSync('**/*.ts', { cwd: SOURCES })
    .filter((name) => !name.endsWith('.test.ts'))
    .map((name) => ({ name, text: readFileSync(join(SOURCES, name), 'utf8') }));

  const using = (pattern: RegExp) => texts.filter(({ text }) => pattern.test(text)).map(({ name }) => name);

  it('decompress nothing in the daemon', () => {
    // `pk core show` unpacks pages of 4 KiB, in its own process.
    const known = ['cli/evidence/memory/kdump.ts'];
    expect(using(/\b(?:create)?(?:gunzip|unzip|inflate|brotliDecompress|zstdDecompress)\w*\(/i)).toEqual(known);
  });

  it('run programs that interpret artefacts in a jail alone', () => {
    const tools =
      'ldd|modinfo|depmod|objcopy|readelf|file|unsquashfs|sqfstar|mksquashfs|tar|xz|zstd|gzip|lz4|dpkg-deb|qemu-img|debugfs|losetup|mount';
    // Set-up's own packages, from which the jail itself is made.
    expect(using(new RegExp(`\\b(?:run|runCommand|spawn|spawnSync|execFile)\\(\\[?\\s*'(?:${tools})'`))).toEqual([
      'sys/apt.ts',
    ]);
    expect(using(/toolPath\('(?:xz|zstd|gzip|sqfstar|tar|dpkg-deb)'\)/)).toEqual([]);
  });
});
