/**
 * Packs `polykernel/devicetree` by itself, as JavaScript with types and without dependencies, for programs that want no more
 * of Polykernel: `npm run package [-- DIRECTORY]` leaves polykernel-VERSION.tgz there (default: here). Node runs no TypeScript
 * that lies in node_modules.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { argumentsOrHelp } from './usage.ts';

const CHECKOUT = join(import.meta.dirname, '..');
const [directory = '.'] = argumentsOrHelp('usage: npm run package [-- DIRECTORY]');

const staging = mkdtempSync(join(tmpdir(), 'pk-package-'));
try {
  const tsc = [join(CHECKOUT, 'scripts/tool.sh'), 'tsc'];
  const project = join(CHECKOUT, 'tsconfig.package.json');
  execFileSync('sh', [...tsc, '-p', project, '--outDir', join(staging, 'lib')], { stdio: 'inherit' });
  const { name, version, license, type, engines } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8'));
  const main = './lib/devicetree/index';
  const exports = { './devicetree': { types: `${main}.d.ts`, default: `${main}.js` } };
  const description = 'Device trees: sources, blobs and overlays, as dtc has them';
  const described = { name, version, description, license, type, engines, exports, files: ['lib'] };
  writeFileSync(join(staging, 'package.json'), `${JSON.stringify(described, null, 2)}\n`);
  copyFileSync(join(CHECKOUT, 'LICENSE'), join(staging, 'LICENSE'));
  copyFileSync(join(CHECKOUT, 'docs/devicetree.md'), join(staging, 'README.md'));
  execFileSync('npm', ['pack', '--silent', '--pack-destination', resolve(directory)], {
    cwd: staging,
    stdio: 'inherit',
  });
} finally {
  rmSync(staging, { recursive: true, force: true });
}
