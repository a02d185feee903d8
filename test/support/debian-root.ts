/** A small Debian for tests, of this machine's own packages: what debootstrap makes of a mirror's, without its downloads. */
import { execFileSync } from 'node:child_process';
import { globSync, lstatSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Of no use to programs. What programs come with stays where it is. */
const LEFT_OUT = /^\/usr\/share\/(doc|info|lintian|locale|man)\//;
const DATABASE = '/var/lib/dpkg';
/** Made by their scripts, not in the packages. */
const MADE = ['passwd', 'group', 'ld.so.cache'].map((name) => `/etc/${name}`);

const query = (...args: string[]) => execFileSync('dpkg-query', args, { encoding: 'utf8', maxBuffer: 2 ** 26 });

/**
 * The essential packages of this machine and what they need, installed in `root`: an empty directory. Files have their owners
 * and modes, dpkg's database knows these packages and no others. Root only.
 */
export function makeDebianRoot(root: string): void {
  const names = essentialPackages();
  const paths = new Set(['/bin', '/sbin', '/lib', '/lib64', ...MADE].filter(isThere));
  for (const path of query('-L', ...names).split('\n')) {
    if (!path.startsWith('/') || path === '/.' || LEFT_OUT.test(path) || !isThere(path)) continue;
    // The directories of old are links into /usr, which are in no package.
    paths.add(join(realpathSync(dirname(path)), basename(path)));
  }
  for (const name of names) for (const path of globSync(`${DATABASE}/info/${name}{,:*}.*`)) paths.add(path);
  paths.add(`${DATABASE}/info/format`);
  const script = 'tar -C / -cf - --null --no-recursion -T - | tar -C "$0" -xpf -';
  const members = [...paths].map((path) => `.${path}\0`).join('');
  execFileSync('sh', ['-c', script, root], { input: members });
  for (const each of ['dev', 'proc', 'sys', 'run', 'tmp', 'root', `${DATABASE}/updates`, `${DATABASE}/triggers`])
    mkdirSync(join(root, each), { recursive: true });
  writeFileSync(join(root, DATABASE, 'status'), query('-s', ...names));
  // What nobody waits for yet, and who for what: without the files dpkg begins with all there is.
  writeFileSync(join(root, DATABASE, 'triggers/Unincorp'), '');
  for (const path of globSync(`${DATABASE}/triggers/[Fa-z]*`)) {
    const lines = readFileSync(path, 'utf8').split('\n');
    const own = lines.filter((line) => names.includes(line.replace(/^.* |[:/][^ ]*$/g, '')));
    if (own.length > 0) writeFileSync(join(root, path), `${own.join('\n')}\n`);
  }
}

/** Names of installed packages that are essential, and of what those depend on. */
function essentialPackages(): string[] {
  const needs = new Map<string, string[]>();
  const providers = new Map<string, string>();
  const found = new Set<string>();
  const format = ['db:Status-Abbrev', 'Package', 'Essential', 'Pre-Depends', 'Depends', 'Provides'];
  for (const row of query('-W', '-f', `${format.map((field) => `\${${field}}`).join('\\t')}\\n`).split('\n')) {
    const [status, name, essential, preDepends, depends, provides] = row.split('\t');
    if (!status?.startsWith('ii')) continue;
    // Of alternatives those that are installed.
    needs.set(name!, `${preDepends},${depends}`.split(/[,|]/).map(nameOf));
    for (const virtual of provides!.split(',').map(nameOf)) providers.set(virtual, name!);
    if (essential === 'yes') found.add(name!);
  }
  for (const name of found)
    for (const need of needs.get(name)!) {
      const installed = needs.has(need) ? need : providers.get(need);
      if (installed !== undefined) found.add(installed);
    }
  return [...found];
}

/** `libc6 (>= 2.34)`, `perl:any`: the name alone. */
const nameOf = (relation: string): string => /^\s*([^\s(:]+)/.exec(relation)?.[1] ?? '(none)';

const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;
