/** PCI addresses as Linux writes them: `0000:3b:00.0`. */
import { PolykernelError } from '../sys/errors.ts';

/** Domain (4 hexadecimal digits, more behind VMD and on some ppc64), bus, device 0-1f, function 0-7. */
const CANONICAL = /^[\da-f]{4,8}:[\da-f]{2}:[01][\da-f]\.[0-7]$/;

export const isPciAddress = (text: string): boolean => CANONICAL.test(text);

/**
 * The canonical form of an address as people write it: upper case, without the domain (`3b:00.0`).
 * Throws `invalid` naming `field`.
 */
export function normalizePciAddress(text: string, field = 'device'): string {
  if (isPciAddress(text)) return text;
  const lower = text.trim().toLowerCase();
  const full = /^[\da-f]{2}:/.test(lower) ? `0000:${lower}` : lower;
  if (isPciAddress(full)) return full;
  throw new PolykernelError('invalid', `${field}: ${JSON.stringify(text)} is not a PCI address`, {
    field,
    value: text,
    hint: 'Write domain:bus:device.function, such as 0000:3b:00.0; `pk topology` lists them all.',
  });
}

/** Order of addresses: by domain, bus, device, function. */
export function comparePciAddresses(a: string, b: string): number {
  // Longer domains are larger numbers; within one length text order is number order.
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
