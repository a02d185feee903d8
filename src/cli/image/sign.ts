/** Keys are read here, from files, and go nowhere: no argument, message or log has one. */
import { createPrivateKey, createSign, type KeyObject, X509Certificate } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import { openRegular, readerOf, readPieces } from '../../sys/read-at.ts';
import type { Command, Invocation } from '../kit/command.ts';
import { HASHES, type Hash } from './module-signature.ts';

const MOST_KEY_BYTES = 2 ** 20;

export const command: Command = {
  summary: 'sign a vmlinux for hosts that verify what kexec loads',
  usage: '[OPTION]... KERNEL --key FILE --cert FILE -o FILE',
  description:
    'Appends a signature as scripts/sign-file of Linux does. The certificate has to be among those that the host trusts\n' +
    '(.builtin_trusted_keys, .platform). A bzImage has one of another form: sbsign makes it.',
  options: {
    output: { short: 'o', value: 'FILE', complete: 'file', help: 'where to write it; may be KERNEL' },
    key: { value: 'FILE', complete: 'file', help: 'private key, PEM or DER' },
    cert: { value: 'FILE', complete: 'file', help: 'its certificate, PEM or DER' },
    'password-file': { value: 'FILE', complete: 'file', help: 'what the key is encrypted with, on its first line' },
    hash: { value: 'NAME', choices: HASHES, help: 'default sha256' },
  },
  arguments: [1, 1],
  complete: 'file',
  examples: [['pk image sign vmlinux --key key.pem --cert cert.pem -o vmlinux.signed', 'then: pk image import it']],
  async run(invocation) {
    const { appendedSignature, checkKey, SIGNED } = await import('./module-signature.ts');
    const [kernel] = invocation.positionals as [string];
    const output = required(invocation, 'output');
    const certificate = parsed(invocation, 'cert', (bytes) => new X509Certificate(bytes));
    const key = parsed(invocation, 'key', (bytes) => readKey(bytes, passwordOf(invocation)));
    checkKey(key, certificate);
    const hash = (invocation.value('hash') ?? 'sha256') as Hash;
    const input = opened('KERNEL', kernel, 'Give a vmlinux.');
    const target = `${output}.new`;
    try {
      const bytes = fstatSync(input).size;
      const read = readerOf(input);
      if (!read(0, 4)?.equals(Buffer.from('\x7fELF', 'latin1')))
        throw invalid(
          'KERNEL',
          kernel,
          'it is no vmlinux',
          'Sign a bzImage with sbsign: it has a signature of its own.',
        );
      if (bytes > SIGNED.length && read(bytes - SIGNED.length, SIGNED.length)?.equals(SIGNED))
        throw invalid('KERNEL', kernel, 'it is signed already', 'Sign what was built.');
      const signer = createSign(hash);
      const file = openSync(target, 'wx', 0o644);
      try {
        for await (const piece of readPieces(input, 0, bytes)) {
          signer.update(piece);
          writeSync(file, piece);
        }
        writeSync(file, appendedSignature(signer, hash, key, certificate));
      } finally {
        closeSync(file);
      }
      renameSync(target, output);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST')
        throw invalid(
          '--output',
          output,
          `${target} is in the way`,
          'Another signs it now, or was killed: remove that.',
        );
      rmSync(target, { force: true });
      throw asPolykernelError(error, `writing ${output}`);
    } finally {
      closeSync(input);
    }
    return 0;
  },
};

function required(invocation: Invocation, option: string): string {
  const value = invocation.value(option);
  if (value !== undefined) return value;
  throw new PolykernelError('invalid', `--${option} is missing`, { field: `--${option}`, hint: 'pk help image sign' });
}

/** A regular file. Throws `invalid` when it is none, or cannot be opened. */
function opened(field: string, path: string, hint: string): number {
  let fd: number | undefined;
  try {
    fd = openRegular(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw invalid(field, path, code === 'ENOENT' ? 'there is no such file' : `it cannot be opened (${code})`, hint);
  }
  if (fd === undefined) throw invalid(field, path, 'it is not a regular file', hint);
  return fd;
}

function readSmall(invocation: Invocation, option: string): Buffer {
  const path = required(invocation, option);
  const fd = opened(`--${option}`, path, 'Give a file.');
  try {
    if (fstatSync(fd).size > MOST_KEY_BYTES) throw invalid(`--${option}`, path, 'it is too large', 'Give PEM or DER.');
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** What OpenSSL says of a file that it does not understand is not told: nobody knows what of that it holds. */
function parsed<T>(invocation: Invocation, option: string, read: (bytes: Buffer) => T): T {
  const bytes = readSmall(invocation, option);
  try {
    return read(bytes);
  } catch (error) {
    if (error instanceof PolykernelError) throw error;
    const path = invocation.value(option)!;
    if (option === 'key' && invocation.value('password-file') !== undefined)
      throw invalid('--key', path, 'it cannot be read as one with that password', 'PEM or DER, encrypted with it.');
    const hint = option === 'key' ? 'PEM or DER; if it is encrypted, with --password-file FILE.' : 'PEM or DER.';
    throw invalid(`--${option}`, path, 'it cannot be read as one', hint);
  } finally {
    bytes.fill(0);
  }
}

function readKey(key: Buffer, passphrase: string | undefined): KeyObject {
  if (key.includes('-----BEGIN')) return createPrivateKey({ key, passphrase });
  const type = passphrase === undefined ? {} : { passphrase };
  return createPrivateKey({ key, format: 'der', type: 'pkcs8', ...type });
}

function passwordOf(invocation: Invocation): string | undefined {
  if (invocation.value('password-file') === undefined) return undefined;
  return readSmall(invocation, 'password-file').toString('utf8').split(/\r?\n/, 1)[0];
}

const invalid = (field: string, value: string, reason: string, hint: string): PolykernelError =>
  new PolykernelError('invalid', `${field} ${value}: ${reason}`, { field, value, hint });
