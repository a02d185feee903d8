import { describe, expect, it } from 'vitest';
import { processStartTime, run, which } from './process.ts';

describe('run', () => {
  it('gives status and both outputs', async () => {
    const result = await run(['sh', '-c', 'cat; echo err >&2; exit 3'], { input: 'in' });
    expect(result).toMatchObject({ code: 3, signal: null, stdout: 'in', stderr: 'err\n' });
  });

  it('gives the signal', async () => {
    expect(await run(['sh', '-c', 'kill -9 $$'])).toMatchObject({ code: null, signal: 'SIGKILL' });
  });

  it('keeps a bounded part of the output', async () => {
    const result = await run(['head', '-c', '1000000', '/dev/zero'], { maxOutputBytes: 100 });
    expect(result.code).toBe(0);
    expect(result.stdoutBytes).toHaveLength(100);
  });

  it('survives a program that does not read its input', async () => {
    expect((await run(['true'], { input: 'x'.repeat(1_000_000) })).code).toBe(0);
  });

  it('kills what takes too long, with what it started', async () => {
    await expect(run(['sh', '-c', 'sleep 1000 & sleep 1000'], { deadlineMs: 50 })).rejects.toMatchObject({
      code: 'internal',
      message: 'sh did not finish within 50ms',
    });
  });

  it('ends on abort with its reason', async () => {
    const controller = new AbortController();
    const running = run(['sleep', '1000'], { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
  });

  it('names a missing program', async () => {
    await expect(run(['no-such-program-here'])).rejects.toMatchObject({ code: 'unavailable' });
  });
});

it('finds programs', () => {
  expect(which('sh')).toMatch(/^\/.*\/sh$/);
  expect(which('no-such-program-here')).toBeUndefined();
  expect(which('/etc/passwd')).toBeUndefined();
});

it('tells processes apart by start time', () => {
  expect(processStartTime(process.pid)).toBeGreaterThan(0);
  expect(processStartTime(2 ** 30)).toBeUndefined();
});
