/**
 * A signature as kernels append it to what they verify: CMS without certificates or attributes, a trailer that says how long it is, and a
 * line of text (scripts/sign-file.c and include/linux/module_signature.h of Linux, RFC 5652). Pure.
 */
import type { KeyObject, Sign, X509Certificate } from 'node:crypto';
import { PolykernelError } from '../../sys/errors.ts';

export const HASHES = ['sha256', 'sha384', 'sha512'] as const;
export type Hash = (typeof HASHES)[number];

export const SIGNED = Buffer.from('~Module signature appended~\n');

const DATA = '2a864886f70d010701';
const SIGNED_DATA = '2a864886f70d010702';
const RSA = '2a864886f70d010101';
const DIGESTS: Readonly<Record<Hash, string>> = {
  sha256: '608648016503040201',
  sha384: '608648016503040202',
  sha512: '608648016503040203',
};
const ECDSA: Readonly<Record<Hash, string>> = {
  sha256: '2a8648ce3d040302',
  sha384: '2a8648ce3d040303',
  sha512: '2a8648ce3d040304',
};
const [INTEGER, OCTETS, NULL, OID, SEQUENCE, SET, EXPLICIT] = [0x02, 0x04, 0x05, 0x06, 0x30, 0x31, 0xa0];
/** PKEY_ID_PKCS7. */
const CMS = 2;

function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const hex = body.length.toString(16);
  const length = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
}

const oid = (hex: string): Buffer => der(OID, Buffer.from(hex, 'hex'));

/** The elements of a constructed one, each with its head. Of a certificate that OpenSSL has read, and so well-formed. */
function elements(of: Buffer): Buffer[] {
  const end = (at: number): { head: number; end: number } => {
    const first = of[at + 1]!;
    if (first < 0x80) return { head: at + 2, end: at + 2 + first };
    const bytes = first & 0x7f;
    return { head: at + 2 + bytes, end: at + 2 + bytes + of.readUIntBE(at + 2, bytes) };
  };
  const found: Buffer[] = [];
  for (let { head: at } = end(0); at < of.length; at = end(at).end) found.push(of.subarray(at, end(at).end));
  return found;
}

/** Of a certificate: by what a signature names it. */
function issuerAndSerial({ raw }: X509Certificate): Buffer {
  const [body] = elements(raw) as [Buffer];
  const fields = elements(body);
  // The version comes first, where it is not the oldest.
  const at = fields[0]![0] === EXPLICIT ? 1 : 0;
  return der(SEQUENCE, fields[at + 2]!, fields[at]!);
}

/** What is put behind the file that `signer` has seen. Throws `invalid` unless the key is the certificate's, and one that kernels know. */
export function appendedSignature(signer: Sign, hash: Hash, key: KeyObject, certificate: X509Certificate): Buffer {
  const digest = der(SEQUENCE, oid(DIGESTS[hash]));
  const info = der(
    SEQUENCE,
    der(INTEGER, Buffer.from([1])),
    issuerAndSerial(certificate),
    digest,
    key.asymmetricKeyType === 'rsa' ? der(SEQUENCE, oid(RSA), der(NULL)) : der(SEQUENCE, oid(ECDSA[hash])),
    der(OCTETS, signer.sign(key)),
  );
  const data = der(
    SEQUENCE,
    der(INTEGER, Buffer.from([1])),
    der(SET, digest),
    der(SEQUENCE, oid(DATA)),
    der(SET, info),
  );
  const cms = der(SEQUENCE, oid(SIGNED_DATA), der(EXPLICIT, data));
  const trailer = Buffer.alloc(12);
  trailer[2] = CMS;
  trailer.writeUInt32BE(cms.length, 8);
  return Buffer.concat([cms, trailer, SIGNED]);
}

/** Throws `invalid` unless the key is the certificate's, and of a kind that kernels know. */
export function checkKey(key: KeyObject, certificate: X509Certificate): void {
  const refuse = (reason: string, hint: string) => {
    throw new PolykernelError('invalid', reason, { field: '--key', hint });
  };
  if (key.asymmetricKeyType !== 'rsa' && key.asymmetricKeyType !== 'ec')
    refuse(`kernels verify nothing that a key of the kind ${key.asymmetricKeyType} has signed`, 'Use RSA or ECDSA.');
  if (!certificate.checkPrivateKey(key))
    refuse('the key is not that of the certificate', 'Give the certificate that was made with it: --cert FILE.');
}
