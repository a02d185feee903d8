import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nativeProgram } from '../../test/support/native.ts';
import { ingestApart } from './apart.ts';
import { elfKernel } from './testing.ts';

let directory: string;
beforeEach(async () => {
  await nativeProgram('pk-jail');
  directory = mkdtempSync(join(tmpdir(), 'pk-apart-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const task = () => ({
  source: { kernel: join(directory, 'kernel'), modules: undefined, source: 'test' },
  directory: join(directory, 'store'),
});

/** A parser that does what a fault in one would. */
function parser(text: string): string {
  const path = join(directory, 'parser.mjs');
  writeFileSync(path, text);
  return path;
}

describe('ingestApart', () => {
  it('gives what was read, and what went wrong as it was', async () => {
    writeFileSync(task().source.kernel, elfKernel({ text: 'virtio-pci virtio_console' }));
    expect(await ingestApart(task())).toMatchObject({ kind: 'x86_64', version: '6.1.0-test', modules: [] });
    writeFileSync(task().source.kernel, 'text');
    await expect(ingestApart(task())).rejects.toMatchObject({ code: 'invalid', field: 'kernel' });
  });

  it('ends a parser that never does', async () => {
    const stuck = ingestApart(task(), {
      deadlineMs: 300,
      program: parser("process.on('SIGTERM', () => {}); for (;;);"),
    });
    await expect(stuck).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('it takes longer than 300ms, which is the bound'),
    });
  });

  it('survives a parser that takes all memory', async () => {
    const hungry = ingestApart(task(), {
      heapMib: 32,
      program: parser('const all = []; for (;;) all.push(new Array(1000).fill({}));'),
    });
    await expect(hungry).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('more than 32 MiB of memory'),
    });
  });

  it('ends with its signal, and takes what it runs along', async () => {
    const mark = `mark-${process.pid}-apart`;
    const tool = new URL('../sys/confined-tool.ts', import.meta.url).href;
    const busy = parser(`
      import { startConfined } from ${JSON.stringify(tool)};
      const args = ['sh', '-c', 'while :; do :; done', ${JSON.stringify(mark)}];
      const stop = new AbortController();
      process.once('SIGTERM', () => stop.abort());
      await startConfined({ subject: 'x', programs: ['busybox'], args, deadlineMs: 60_000, signal: stop.signal }).ended;`);
    const stop = new AbortController();
    const running = ingestApart(task(), { program: busy, signal: stop.signal });
    running.catch(() => {});
    await until(() => marked(mark) > 0);
    stop.abort(new Error('no longer wanted'));
    await expect(running).rejects.toThrow('no longer wanted');
    await until(() => marked(mark) === 0);
  });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(15_000);
  while (!condition()) await delay(5, undefined, { signal: deadline });
}

/** Tools in their jail, seen from the host: what starts them has the text among its arguments earlier. */
function marked(text: string): number {
  const isMarked = (command: string) => command.startsWith('/tool/') && command.includes(text);
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && isMarked(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
    } catch {
      return false;
    }
  }).length;
}
