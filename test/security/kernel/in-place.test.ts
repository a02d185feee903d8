/** A program in place of a VMM, under a real driver: what it leaves unanswered while its kernel starts. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FAKE_IMAGE } from '../../../src/driver/fake/traits.ts';
import { readShimProcess } from '../../../src/driver/shim/process.ts';
import { readConsoleTail } from '../../../src/driver/shim/shim.ts';
import { UmlDriver } from '../../../src/driver/uml/driver.ts';
import { run } from '../../../src/sys/process.ts';
import { launchSpec } from '../../support/launch-spec.ts';
import { until } from '../../support/pk.ts';

let base: string;
let program: string;
beforeAll(async () => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'pk-in-place-')));
  program = join(base, 'agent');
  const source = join(import.meta.dirname, '../../fixtures/agent.c');
  const compiled = await run(['musl-gcc', '-static', '-O1', '-D_GNU_SOURCE', '-o', program, source]);
  expect(compiled).toMatchObject({ code: 0, stderr: '' });
});
afterAll(() => rmSync(base, { recursive: true }));

describe('a kernel of User Mode Linux that does not say what memory it holds', () => {
  function start(signal: AbortSignal, readyTimeoutMs: number) {
    const directory = mkdtempSync(join(base, 'launch-'));
    const root = join(directory, 'root');
    mkdirSync(root);
    const spec = launchSpec({
      directory,
      memoryBytes: 64 * 2 ** 20,
      image: { ...FAKE_IMAGE, kind: 'uml', kernel: program, initramfs: program },
      root: { kind: 'directory', path: root },
      append: ['mute=balloon'],
      size: { cpus: 1, memoryBytes: 32 * 2 ** 20, memoryChanges: true },
      readyTimeoutMs,
    });
    return { directory, started: new UmlDriver({ cache: base }).start(spec, signal) };
  }

  it('is not waited for once somebody ends its start', async () => {
    const { signal, abort } = controller();
    const { directory, started } = start(signal, 600_000);
    const end = started.catch((error) => error);
    await until('it is asked', async () => (await readConsoleTail(directory, 1024)).includes('asked'));
    abort(new Error('removed'));
    expect(await end).toMatchObject({ message: 'removed' });
    expect(readShimProcess(directory)).toBeUndefined();
  }, 30_000);

  it('is not waited for longer than a start may take', async () => {
    const { directory, started } = start(controller().signal, 2_000);
    await expect(started).rejects.toMatchObject({ code: 'not-ready', message: /was not ready within 2s/ });
    expect(readShimProcess(directory)).toBeUndefined();
  }, 30_000);
});

function controller() {
  const made = new AbortController();
  return { signal: made.signal, abort: (reason: unknown) => made.abort(reason) };
}
