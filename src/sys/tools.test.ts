import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findTool, toolPath } from './tools.ts';

let debian: string;
beforeEach(() => {
  debian = mkdtempSync(join(tmpdir(), 'pk-tools-'));
  mkdirSync(join(debian, 'usr/sbin'), { recursive: true });
  mkdirSync(join(debian, 'usr/lib/x86_64-linux-gnu'), { recursive: true });
  mkdirSync(join(debian, 'usr/lib/python3'), { recursive: true });
});
afterEach(() => rmSync(debian, { recursive: true }));

function put(name: string, mode: number): string {
  const path = join(debian, 'usr/sbin', name);
  writeFileSync(path, '');
  chmodSync(path, mode);
  return path;
}

it('takes the program of the machine first', () => {
  put('sh', 0o755);
  expect(findTool('sh', { debian })).toMatchObject({ env: {}, unpacked: false });
});

it('finds an unpacked program and the libraries beside it', () => {
  const path = put('pk-test-tool', 0o755);
  const env = { LD_LIBRARY_PATH: join(debian, 'usr/lib/x86_64-linux-gnu') };
  expect(findTool('pk-test-tool', { debian })).toEqual({ path, env, unpacked: true });
});

it('passes over what cannot be run', () => {
  put('pk-test-tool', 0o644);
  expect(findTool('pk-test-tool', { debian })).toBeUndefined();
});

it('says which package brings a missing program', () => {
  expect(() => toolPath('qemu-system-x86_64', { debian, installed: false })).toThrow(
    expect.objectContaining({ code: 'unavailable', hint: expect.stringContaining('apt-get install qemu-system-x86') }),
  );
});
