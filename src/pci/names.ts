/** Names of vendors, devices and classes from pci.ids, where the machine has it (Debian's package pci.ids). */
import { readFileSync } from 'node:fs';

const PLACES = ['/usr/share/misc/pci.ids', '/usr/share/hwdata/pci.ids', '/usr/share/pci.ids'];

export class PciNames {
  readonly #text: string;
  /** Sections by their first word: `8086`, `C 02`. */
  readonly #sections = new Map<string, Map<string, string>>();

  /** `text` in the form of pci.ids; without it nothing has a name. */
  constructor(text: string) {
    this.#text = `\n${text}`;
  }

  vendor(vendor: number): string | undefined {
    return this.#section(hex4(vendor)).get('');
  }
  device(vendor: number, device: number): string | undefined {
    return this.#section(hex4(vendor)).get(hex4(device));
  }
  subsystem(vendor: number, device: number, subVendor: number, subDevice: number): string | undefined {
    return this.#section(hex4(vendor)).get(`${hex4(device)} ${hex4(subVendor)} ${hex4(subDevice)}`);
  }
  /** Of a class code of 24 bits: its subclass, else its base class. */
  class(code: number): string | undefined {
    const section = this.#section(`C ${hex2(code >> 16)}`);
    return section.get(hex2((code >> 8) & 0xff)) ?? section.get('');
  }

  /** Each section is searched for once: the file has 35,000 lines, of which a machine needs few. */
  #section(head: string): Map<string, string> {
    const known = this.#sections.get(head);
    if (known !== undefined) return known;
    const found = new Map<string, string>();
    this.#sections.set(head, found);
    const start = this.#text.indexOf(`\n${head}  `);
    if (start < 0) return found;
    let device = '';
    for (const line of linesFrom(this.#text, start + 1)) {
      const [, tabs, id, name] = /^(\t*)((?:C )?[\da-f]{2,4}(?: [\da-f]{4})?) {2}(.*)$/.exec(line) ?? [];
      if (tabs === undefined) continue;
      if (tabs.length === 1) device = id!;
      found.set(tabs.length === 0 ? '' : tabs.length === 1 ? device : `${device} ${id}`, name!);
    }
    return found;
  }
}

/** Lines from `start` to the next section. */
function* linesFrom(text: string, start: number): Generator<string> {
  for (let at = start; at < text.length; ) {
    const end = text.indexOf('\n', at);
    const line = text.slice(at, end < 0 ? text.length : end);
    if (at !== start && line !== '' && !line.startsWith('\t') && !line.startsWith('#')) return;
    yield line;
    at = end < 0 ? text.length : end + 1;
  }
}

const hex4 = (id: number): string => id.toString(16).padStart(4, '0');
const hex2 = (id: number): string => id.toString(16).padStart(2, '0');

/** Those of this machine; without names where it has none. */
export function readPciNames(): PciNames {
  for (const path of PLACES) {
    try {
      return new PciNames(readFileSync(path, 'utf8'));
    } catch {}
  }
  return new PciNames('');
}
