import { existsSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { RotatingFile } from '../../src/core/rotate.ts';
import type { LogLine, LogQuery } from '../../src/instance/contract.ts';
import { startDaemon, untilState } from '../support/harness.ts';

type Test = Awaited<ReturnType<typeof startDaemon>>;

async function read(test: Test, name: string, query: LogQuery = {}): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of test.client.logs(name, query)) lines.push(line);
  return lines;
}
const text = (lines: LogLine[]) => lines.map((line) => line.d).join('');

describe('logs', () => {
  it('keeps both outputs with times, and the last lines of them', async () => {
    const test = await startDaemon();
    await test.create({ name: 'job', command: ['sh', '-c', 'echo one; echo two >&2; echo three'] });
    await test.client.wait('job');
    const lines = await read(test, 'job');
    expect(text(lines)).toBe('one\ntwo\nthree\n');
    expect(lines.map((line) => line.s)).toEqual(['out', 'err', 'out']);
    expect(Date.parse(lines[0]!.t)).toBeGreaterThan(Date.now() - 60_000);
    expect(text(await read(test, 'job', { tail: 2 }))).toBe('two\nthree\n');
    expect(await read(test, 'job', { tail: 0 })).toEqual([]);
    expect(await read(test, 'job', { since: '2100-01-01' })).toEqual([]);
    expect(await read(test, 'job', { since: lines[0]!.t })).toHaveLength(3);
    await expect(read(test, 'job', { since: 'yesterday' })).rejects.toMatchObject({ code: 'invalid', field: 'since' });
    await expect(read(test, 'nobody')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('takes a last line without its end for a line, and begins the next run with another one', async () => {
    const test = await startDaemon();
    await test.create({ name: 'job', command: ['sh', '-c', 'echo one; echo two; printf open'] });
    await test.client.wait('job');
    const tails = async () => await Promise.all([0, 1, 2].map(async (tail) => text(await read(test, 'job', { tail }))));
    expect(await tails()).toEqual(['', 'open', 'two\nopen']);
    await test.client.start('job');
    await test.client.wait('job');
    expect(text(await read(test, 'job'))).toBe('one\ntwo\nopen\none\ntwo\nopen');
    expect(await tails()).toEqual(['', 'open', 'two\nopen']);
  });

  it('follows until the end', async () => {
    const test = await startDaemon();
    await test.create({ name: 'job', command: ['sh', '-c', 'echo one; sleep 0.1; echo two; sleep 0.1; echo three'] });
    expect(text(await read(test, 'job', { follow: true }))).toBe('one\ntwo\nthree\n');
  });

  it('rotates, and a follower loses nothing it has room to read', async () => {
    const test = await startDaemon({ logBytes: 4096 });
    const script = Array.from({ length: 400 }, (_, index) => `echo line ${index}`).join('; ');
    await test.create({ name: 'job', command: ['sh', '-c', `sleep 0.05; ${script}`] });
    const { paths } = await test.client.inspect('job');
    const followed = text(await read(test, 'job', { follow: true }));
    expect(followed.endsWith('line 399\n')).toBe(true);
    expect(statSync(paths.log).size).toBeLessThanOrEqual(4096);
    expect(statSync(`${paths.log}.1`).size).toBeLessThanOrEqual(4096);
    const kept = text(await read(test, 'job'))
      .split('\n')
      .slice(0, -1);
    expect(kept.at(-1)).toBe('line 399');
    expect(kept.length).toBeLessThan(400);
    // What is kept is whole and in order.
    const first = Number(kept[0]!.slice(5));
    expect(kept).toEqual(Array.from({ length: 400 - first }, (_, index) => `line ${first + index}`));
  });

  it('shows the console', async () => {
    const test = await startDaemon();
    await test.create({ name: 'job', command: ['crash'] });
    await test.client.wait('job');
    expect(text(await read(test, 'job', { source: 'console' }))).toContain('Kernel panic');
    expect(text(await read(test, 'job', { source: 'console', tail: 1 }))).toMatch(/^Kernel panic.*\n$/);
  });

  it('follows the console until the kernel is gone', async () => {
    const test = await startDaemon();
    const held = join(test.home, 'held');
    writeFileSync(held, '');
    await test.create({ name: 'job', command: ['sh', '-c', `gone ${held}; echo c > /proc/sysrq-trigger`] });
    await untilState(test, 'job', 'running');
    const followed = read(test, 'job', { source: 'console', follow: true });
    rmSync(held);
    expect(text(await followed)).toContain('Kernel panic');
  });

  it('goes on with a full disk, counts what it lost and says so later', async () => {
    const test = await startDaemon();
    const append = vi.spyOn(RotatingFile.prototype, 'append');
    onTestFinished(() => append.mockRestore());
    const at = join(test.home, 'full');
    // Writing to /dev/full fails with ENOSPC.
    symlinkSync('/dev/full', at);
    await test.create({ name: 'job', command: ['sh', '-c', `echo lost; gone ${at}; echo kept`], start: false });
    const { paths } = await test.client.inspect('job');
    symlinkSync(at, paths.log);
    await test.client.start('job');
    const lost = () => append.mock.calls.some(([bytes]) => bytes.includes('lost'));
    await vi.waitFor(() => expect(lost()).toBe(true), { timeout: 20_000 });
    // Others go on meanwhile.
    await test.create({ name: 'other', command: ['true'] });
    await test.client.wait('other');
    rmSync(paths.log);
    rmSync(at);
    await test.client.wait('job');
    expect(existsSync(paths.log)).toBe(true);
    const lines = text(await read(test, 'job'));
    expect(lines).toContain('1 pieces of output were lost');
    expect(lines.endsWith('kept\n')).toBe(true);
    expect(lines).not.toContain('lost\n1');
  });
});
