/** Root in a real guest takes the control line into its own hands: it harms nobody but its own kernel. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { protocol } from '../../../src/guest/index.ts';
import type { InstanceStatus } from '../../../src/instance/contract.ts';
import { Sandbox, until } from '../../support/pk.ts';

const { encodeFrame, ToHost } = protocol;
const files = mkdtempSync(join(tmpdir(), 'pk-hostile-'));
let sandbox: Sandbox;

/** Waits for its weapon, and then for the word. */
const READY = 'while [ ! -e /tmp/go ]; do sleep 0.05; done';

beforeAll(() => {
  writeFileSync(
    join(files, 'bells'),
    Buffer.concat(Array.from({ length: 65_536 }, (_, at) => encodeFrame(ToHost.bell, at % 16))),
  );
  writeFileSync(join(files, 'go'), '');
});
afterAll(() => rmSync(files, { recursive: true }));

beforeEach(async () => {
  sandbox = await Sandbox.create();
  await sandbox.ok('run', '-d', '--driver', 'uml', '--name', 'innocent', '--', 'sleep', '1000');
});
afterEach(async () => {
  await sandbox[Symbol.asyncDispose]();
});

async function evil(script: string, weapon?: string): Promise<void> {
  await sandbox.ok('run', '-d', '--driver', 'uml', '--name', 'evil', '--', 'sh', '-c', `${READY}; ${script}`);
  if (weapon !== undefined) await sandbox.ok('cp', join(files, weapon), `evil:/tmp/${weapon}`);
  await sandbox.ok('cp', join(files, 'go'), 'evil:/tmp/go');
}

const stateOf = (name: string): Promise<InstanceStatus> => sandbox.json<InstanceStatus>('inspect', name);

/** What everybody else may do, whatever the guest does. */
async function othersAreServed(): Promise<void> {
  for (let round = 0; round < 3; round++)
    expect(await sandbox.ok('exec', 'innocent', '--', 'echo', 'hello')).toBe('hello\n');
  expect(await sandbox.ok('ps', '-q')).toMatch(/innocent/);
  await sandbox.ok('channel', 'create', '--to', 'innocent', 'ours');
  await sandbox.ok('channel', 'rm', 'ours');
}

it('a flood of frames is taken at a bounded pace', async () => {
  await evil('while :; do cat /tmp/bells; done > /dev/tty15', 'bells');
  await othersAreServed();
  await sandbox.ok('rm', '-f', 'evil');
});

it('a guest whose line is read by another than its agent keeps nobody waiting', async () => {
  // What the host sends is taken away from pk-init, which then neither acknowledges nor answers it.
  await evil('for each in 1 2 3 4; do cat /dev/tty15 > /dev/null & done; wait');
  const asked = sandbox.start('exec', 'evil', '--', 'true');
  asked.stdin?.end();
  const made = sandbox.start('channel', 'create', '--from', 'evil', '--to', 'innocent', 'its');
  await othersAreServed();
  await sandbox.ok('rm', '-f', 'evil');
  await sandbox.pk(['channel', 'rm', '-f', 'its']);
  for (const child of [asked, made]) child.kill('SIGKILL');
});

it('a guest that writes what is no frame loses its kernel, and only that', async () => {
  await evil('while :; do head -c 4000 /dev/urandom; done > /dev/tty15');
  await until('the end of evil', async () => (await stateOf('evil')).state === 'exited');
  const { exit } = await stateOf('evil');
  expect(exit).toMatchObject({ reason: 'died', message: expect.stringMatching(/keeps breaking the control protocol/) });
  await othersAreServed();
});
