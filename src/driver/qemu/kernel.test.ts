/** A program in place of QEMU, under a real pk-shim, that says on its monitor what no QEMU would. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { nativeProgram } from '../../../test/support/native.ts';
import { GuestLink } from '../../guest/index.ts';
import type { KernelWord } from '../driver.ts';
import { killShim, launchShim } from '../shim/shim.ts';
import { QemuKernel } from './kernel.ts';

let directory: string;
beforeEach(async () => {
  await nativeProgram('pk-shim');
  directory = mkdtempSync(join(tmpdir(), 'pk-qemu-'));
});
afterEach(async () => {
  await killShim(directory);
  rmSync(directory, { recursive: true });
});

/** Says `lines`, then answers each command with an empty object. */
async function started(lines: string): Promise<QemuKernel> {
  writeFileSync(join(directory, 'lines'), lines);
  const answer = `while read -r line <&4; do case $line in '{'*) id=\${line##*'"id":"'}; printf '{"return":{},"id":"%s"}\\n' "\${id%%'"'*}" >&4;; esac; done`;
  const argv = ['/bin/sh', '-c', `cat '${join(directory, 'lines')}' >&4; ${answer}`];
  const { pid } = await launchShim({ directory, argv });
  return new QemuKernel({
    ...{ id: 'a'.repeat(32), directory, pid, cloned: false, hasBalloon: false },
    identity: { kind: 'single' },
    machine: { cpus: 1, memoryBytes: 2 ** 28 },
    guest: new GuestLink({ name: 'web', isPort: true }),
  });
}

it('looks once for the words of a panic that is told of again and again', async () => {
  const kernel = await started(`${'{"event": "GUEST_PANICKED"}\n'.repeat(500)}{"event": "GUEST_CRASHLOADED"}\n`);
  const words: KernelWord['sign'][] = [];
  const panic = new Promise<void>((resolve) => {
    kernel.heed(({ sign }) => {
      words.push(sign);
      if (words.includes('panic') && words.includes('dumping')) resolve();
    });
  });
  await panic;
  await kernel.resume();
  expect(words.filter((word) => word === 'panic')).toEqual(['panic']);
  kernel.detach();
});

it.each([
  ['an object that is no text', '{"toString": 1}'],
  ['one in another in another', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
  ['what every object has', '"constructor"'],
])('hears what comes behind an end whose reason is %s', async (_, reason) => {
  const end = `{"event": "SHUTDOWN", "data": {"reason": ${reason}}}`;
  const kernel = await started(`${end}\n{"event": "GUEST_CRASHLOADED"}\n`);
  const heard = new Promise<string>((resolve) => kernel.heed(({ sign }) => resolve(sign)));
  expect(await heard).toBe('dumping');
  kernel.detach();
});
