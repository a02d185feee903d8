/** What programs ask of the machine they run on, on real kernels: each row of its table in docs/run.md (scripts/machine-table.ts). */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MACHINE } from '../../scripts/machine-table.ts';
import { outcomeOf } from '../../scripts/volume-table.ts';
import { which } from '../../src/sys/process.ts';
import { compileFixture } from '../support/frames.ts';
import { Sandbox } from '../support/pk.ts';

const SYSTEMD = '/lib/systemd/systemd';

let sandbox: Sandbox;
let directory: string;
beforeAll(async () => {
  sandbox = await Sandbox.create();
  directory = mkdtempSync(join(tmpdir(), 'pk-machine-'));
  chmodSync(directory, 0o755);
  await compileFixture('machine', join(directory, 'machine'));
});
afterAll(async () => {
  await sandbox?.[Symbol.asyncDispose]();
  if (directory) rmSync(directory, { recursive: true, force: true });
});

describe.each(['uml', 'qemu'] as const)('a machine of %s', (driver) => {
  const run = (...args: string[]) => sandbox.pk(['run', '--driver', driver, '-v', `${directory}:/p:ro`, ...args]);

  it('has what its table says', async () => {
    const ran = await run('--', 'sh', '-c', 'uname -r && /p/machine');
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    const [version, ...found] = ran.stdout.trim().split('\n');
    const said = MACHINE.map((row) => `${row.name} ${outcomeOf(row[driver])}`);
    // Later kernels may have more.
    if (version!.startsWith('6.1.')) expect(found.sort()).toEqual(said.sort());
    else expect(found).toEqual(expect.arrayContaining(said.filter((row) => row.endsWith(' yes'))));
  });

  // The root is the host's, and not every host has systemd.
  it.runIf(which(SYSTEMD) !== undefined)('has systemd run services, as process 1 of a namespace', async () => {
    const unit = [
      '[Unit]\\nDefaultDependencies=no\\n[Service]\\nType=oneshot\\nUser=1000\\nMemoryMax=50M\\nStandardOutput=file:/run/said\\n',
      'ExecStart=/bin/sh -c "id -u; cat /proc/self/cgroup /sys/fs/cgroup/system.slice/own.service/memory.max"\\n',
    ].join('');
    const script = `
      printf '${unit}' > /etc/systemd/system/own.service
      unshare --fork --pid --mount-proc --kill-child env container=pk ${SYSTEMD} --unit=own.service > /dev/null 2>&1 &
      until grep -q '^5' /run/said 2> /dev/null; do sleep 0.05; done; cat /run/said`;
    const ran = await run('--', 'sh', '-c', script);
    expect(ran).toMatchObject({ code: 0, stdout: `1000\n0::/system.slice/own.service\n${50 * 2 ** 20}\n` });
  });
});
