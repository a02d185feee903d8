/** Signatures that OpenSSL, which kernels' own tools use, finds good. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { spawnKernel } from '../../../test/support/multikernel/images.ts';
import { toolPath } from '../../sys/tools.ts';
import type { Invocation } from '../kit/command.ts';
import { SIGNED } from './module-signature.ts';
import { command } from './sign.ts';

let home = '';
const at = (name: string) => join(home, name);
function openssl(...words: string[]): Buffer {
  const { path, env } = toolPath('openssl');
  // Where it was only unpacked its own file of settings is not where it looks.
  return execFileSync(path, words, {
    cwd: home,
    stdio: 'pipe',
    env: { ...process.env, ...env, OPENSSL_CONF: at('settings') },
  });
}
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'pk-sign-'));
  writeFileSync(
    at('settings'),
    '[req]\ndistinguished_name = name\nx509_extensions = own\n[name]\n[own]\nbasicConstraints = CA:true\n',
  );
  writeFileSync(at('vmlinux'), spawnKernel());
  writeFileSync(at('password'), 'not to be seen\n');
  const make = (name: string, ...how: string[]) =>
    openssl(
      'req',
      '-x509',
      '-batch',
      '-subj',
      '/O=Test/CN=kernels',
      '-keyout',
      `${name}.pem`,
      '-out',
      `${name}.crt`,
      ...how,
    );
  make('ec', '-noenc', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256');
  make('rsa', '-noenc', '-newkey', 'rsa:2048');
  make('locked', '-passout', 'file:password', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256');
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

function sign(options: Record<string, string>, kernel = 'vmlinux'): Promise<number> {
  const { hash, ...files } = { output: 'signed', ...options } as Record<string, string>;
  const values = new Map([...Object.entries(files).map(([key, file]) => [key, at(file)] as const), ['hash', hash]]);
  return command.run({
    positionals: [at(kernel)],
    value: (key: string) => values.get(key),
  } as unknown as Invocation) as Promise<number>;
}

describe('pk image sign', () => {
  it.each([
    ['rsa', 'sha256', {}],
    ['ec', 'sha512', {}],
    ['locked', 'sha384', { 'password-file': 'password' }],
  ])('makes what OpenSSL finds good, with a key %s and %s', async (name, hash, more) => {
    expect(await sign({ key: `${name}.pem`, cert: `${name}.crt`, hash, ...more })).toBe(0);
    const signed = readFileSync(at('signed'));
    const kernel = readFileSync(at('vmlinux'));
    expect(signed.subarray(0, kernel.length).equals(kernel)).toBe(true);
    expect(signed.subarray(-SIGNED.length).equals(SIGNED)).toBe(true);
    const trailer = signed.subarray(-SIGNED.length - 12, -SIGNED.length);
    expect([...trailer.subarray(0, 8)]).toEqual([0, 0, 2, 0, 0, 0, 0, 0]);
    const length = trailer.readUInt32BE(8);
    expect(length).toBe(signed.length - kernel.length - 12 - SIGNED.length);
    writeFileSync(at('cms'), signed.subarray(kernel.length, kernel.length + length));
    const verify = ['cms', '-verify', '-inform', 'DER', '-in', 'cms', '-content', 'vmlinux', '-binary', '-out', 'out'];
    openssl(...verify, '-certfile', `${name}.crt`, '-CAfile', `${name}.crt`, '-purpose', 'any');
    writeFileSync(at('other'), Buffer.concat([kernel, Buffer.from('x')]));
    const wrong = verify.map((word) => (word === 'vmlinux' ? 'other' : word));
    expect(() => openssl(...wrong, '-certfile', `${name}.crt`, '-CAfile', `${name}.crt`, '-purpose', 'any')).toThrow();
  });

  it('refuses what would not be verified, leaves nothing, and says nothing of what keys hold', async () => {
    await sign({ key: 'ec.pem', cert: 'ec.crt' });
    writeFileSync(at('text'), 'a secret');
    writeFileSync(at('busy.new'), '');
    const before = readdirSync(home).sort();
    const ec = { key: 'ec.pem', cert: 'ec.crt', output: 'refused' };
    const refused: [Record<string, string>, string, RegExp][] = [
      [{ ...ec, key: 'rsa.pem' }, 'vmlinux', /not that of the certificate/],
      [{ ...ec, key: 'text' }, 'vmlinux', /cannot be read/],
      [{ ...ec, cert: 'text' }, 'vmlinux', /cannot be read/],
      [{ ...ec, key: 'locked.pem', cert: 'locked.crt' }, 'vmlinux', /cannot be read/],
      [ec, 'signed', /signed already/],
      [ec, 'text', /no vmlinux/],
      [{ cert: 'ec.crt', output: 'refused' }, 'vmlinux', /--key is missing/],
      [
        { ...ec, key: 'locked.pem', cert: 'locked.crt', 'password-file': 'text' },
        'vmlinux',
        /--key .*with that password/,
      ],
      [{ ...ec, key: 'none' }, 'vmlinux', /^--key .*none: there is no such file$/],
      [{ ...ec, cert: '.' }, 'vmlinux', /^--cert .*: it is not a regular file$/],
      [{ ...ec, key: 'locked.pem', 'password-file': 'none' }, 'vmlinux', /^--password-file .*: there is no such file$/],
      [ec, 'none', /^KERNEL .*none: there is no such file$/],
      [{ ...ec, output: 'busy' }, 'vmlinux', /^--output .*busy\.new is in the way$/],
    ];
    for (const [options, kernel, reason] of refused) {
      const error = (await sign(options, kernel).catch((thrown: unknown) => thrown)) as Error;
      expect(error).toMatchObject({ code: 'invalid', message: expect.stringMatching(reason) });
      expect(JSON.stringify({ ...error, text: error.message })).not.toMatch(/a secret|not to be seen|BEGIN/);
    }
    const nowhere = await sign({ ...ec, output: 'no/where' }).catch((thrown: unknown) => thrown);
    expect(nowhere).toMatchObject({ message: expect.stringMatching(/^writing .*no\/where failed: no such file/) });
    expect(readdirSync(home).sort()).toEqual(before);
  });
});
