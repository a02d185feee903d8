import { expect, it } from 'vitest';
import { checkKernelWords, kernelWords } from './kernel-words.ts';

it.each([
  'init=/bin/sh',
  'rdinit=/bin/sh',
  'root=/dev/vda',
  'console=ttyS1',
  'con0=fd:9,fd:9',
  'con0x0=null',
  'module_blacklist=virtio_console',
  'con-1=null',
  'ssl1=pty',
  'ssl0x0=null',
  'vec0x0:transport=tap',
  'ubd00=/etc/shadow',
  'pk.control=ttyS3',
  'mem=4G',
  'nr_cpus=1',
  'nr-cpus=1',
  'panic=0',
  'ubd0=/etc/shadow',
  'iomem=x,/etc/shadow',
  'vec1:transport=tap',
  'hostfs=/',
  '--help',
  '--',
])('%s is refused by name', (word) => {
  expect(() => checkKernelWords(`loglevel=7 ${word}`)).toThrow(
    expect.objectContaining({ code: 'invalid', field: 'append', message: expect.stringContaining(word) }),
  );
});

it.each([
  'loglevel=7',
  'transparent_hugepage=never',
  'panic_on_oops=1',
  'slub_debug=FZP',
  'rcupdate.rcu_expedited=1',
  'initcall_debug',
  'debug',
  '',
])('%s is taken', (words) => {
  expect(() => checkKernelWords(words)).not.toThrow();
});

it('words are parted by spaces', () => {
  expect(kernelWords('  a=1   b ')).toEqual(['a=1', 'b']);
});
