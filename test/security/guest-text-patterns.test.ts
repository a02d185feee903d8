/** No pattern that sees what a guest, a VMM or a tool wrote can take more than linear time. */
import { globSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

/** All that handles such text. */
const SOURCES = [
  'src/{guest,driver,instance,daemon,telemetry,service,ring}/**/*.ts',
  'src/{evidence,health,heal,upgrade,standby,containment,balance,channel,ledger}/**/*.ts',
  'src/sys/text.ts',
  // Of snapshots and dumps of other machines.
  'src/pci/**/*.ts',
];

/** Sources whose patterns with several repeats, or one tried from anywhere, are over text of somebody else. */
const OTHER_TEXT: Readonly<Record<string, string>> = {
  'src/pci/names.ts': 'the list of names that this host has',
  'src/pci/cache/store.ts': 'ourselves, in the state directory',
  'src/service/haproxy.ts': 'HAProxy, of our own configuration, before a guest has a say',
  'src/channel/channel-memory.ts': 'the kernel of this host',
  'src/doctor/host-facts.ts': 'the kernel of this host',
  'src/telemetry/telemetry-options.ts': 'who starts the daemon',
  'src/core/name.ts': 'who names an instance',
  'src/driver/jail/host.ts': 'ldd, of the bounded list of libraries of one program',
  'src/driver/shim/launch-threads.ts': 'the kernel of this host',
  'src/driver/shim/placement.ts': 'the kernel of this host',
  'src/driver/qemu/program.ts': 'ldd, of the libraries of QEMU',
  'src/guest/initramfs.ts': 'paths of our own files',
  'src/driver/multikernel/cpus.ts': 'the kernel of this host',
  'src/driver/multikernel/iomem.ts': 'the kernel of this host',
  'src/driver/multikernel/kernel.ts': 'the kernel of this host',
  'src/driver/uml/ram.ts': 'the kernel of this host',
  'src/balance/simulate/csv.ts': 'who gives a trace to the simulator',
  'src/containment/clone.ts': 'who names an instance',
  'src/driver/multikernel/spawn-image.ts': 'the version of an image that its importer has bounded',
};

interface Pattern {
  where: string;
  source: string;
}

function patternsOf(file: string): Pattern[] {
  const patterns: Pattern[] = [];
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const visit = (node: ts.Node) => {
    if (ts.isRegularExpressionLiteral(node)) patterns.push({ where: file, source: node.text });
    if (ts.isNewExpression(node) && node.expression.getText() === 'RegExp')
      patterns.push({ where: file, source: node.arguments![0]!.getText() });
    ts.forEachChild(node, visit);
  };
  visit(source);
  return patterns;
}

/** Escapes and classes as one letter each, so that only the structure is left. */
const structure = (source: string): string =>
  source
    .replaceAll(/\\\\?(?:[pP]\{[^}]*\}|.)/g, 'x')
    .replaceAll(/\[(?:[^\]])*\]/g, 'c')
    .replaceAll(/\$\{[^}]*\}/g, 'x')
    .replaceAll(/\(\?(?:[:=!]|<[=!])/g, '(');

/** Why it may take long; undefined when it cannot. */
function risk(source: string): string | undefined {
  const plain = structure(source);
  const unbounded = plain.match(/[*+]|\{\d+,\}/g)?.length ?? 0;
  if (unbounded > 1) return 'more than one repeat without a bound';
  if (/\)(?:[*+]|\{\d+,\})/.test(plain)) return 'a repeated group';
  // Where one round may end in several places and the next begin there, rounds are divided in every way there is.
  for (const [, round = ''] of plain.matchAll(/\(([^()]*)\)\{\d+,\d+\}/g))
    if (/[?}]/.test(round) && /^.[?{]/.test(round))
      return 'a repeated group whose rounds do not begin with something fixed';
  const isAnchored = /^[/`'"]?\^/.test(plain);
  // Alone and at the end of a pattern a repeat takes what it finds, and is not gone back over.
  const isLast = /^.[*+]\)?\??[/`'"][a-z]*$/.test(plain.slice(plain.search(/.[*+]/)));
  if (unbounded === 1 && !isAnchored && !isLast) return 'a repeat that is tried from anywhere';
  return undefined;
}

describe('patterns over text of guests', () => {
  it.each([
    ['/\\s*\\]---\\s*$/', true],
    ['/Calibrating[^\\n]*\\(lpj=(\\d{3,12})\\)/', true],
    ['/(a+)+$/', true],
    ['/^((?:[0-9a-f]{1,9}\\+[0-9a-f]{1,3},?){1,256})$/', true],
    ['/^[0-9a-f]{1,9}(?:,[0-9a-f]{1,9}){0,255}$/', false],
    ['/^(\\d{1,5}) (\\S{1,9})$/', false],
    ['/^0::(.*)$/m', false],
    ['/[^a-z]+/g', false],
  ])('%s is found: %s', (source, found) => {
    expect(risk(source) !== undefined).toBe(found);
  });

  const files = SOURCES.flatMap((pattern) => globSync(pattern)).filter((file) => !file.endsWith('.test.ts'));
  const risky = files.flatMap(patternsOf).filter(({ source }) => risk(source) !== undefined);

  it('repeat without a bound at most once, and not from anywhere', () => {
    expect(files.length).toBeGreaterThan(100);
    const found = risky.filter(({ where }) => !(where in OTHER_TEXT)).map(({ where, source }) => `${where}: ${source}`);
    expect(found).toEqual([]);
  });
});
