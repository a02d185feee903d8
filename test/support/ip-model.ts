/**
 * `ip` for the virtual functions of one card, as iproute2 6.1 says them (the first lines of a real answer: test/fixtures/ip-link-vf.json) and as a
 * driver keeps them: a command sets what it names, and what goes with that.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunIp } from '../../src/sriov/network.ts';
import { PolykernelError } from '../../src/sys/errors.ts';

interface Shown {
  vf: number;
  address: string;
  vlan_list: { vlan: number; qos?: number }[];
  rate: { max_tx: number; min_tx: number };
  spoofchk: boolean;
  trust: boolean;
}

const RECORDED = join(import.meta.dirname, '../fixtures/ip-link-vf.json');

export class IpModel {
  readonly #link = JSON.parse(readFileSync(RECORDED, 'utf8'));
  /** Words that its driver does not take, and those that it takes and does nothing about. */
  readonly refuses = new Set<string>();
  readonly ignores = new Set<string>();
  /** Commands that changed something. */
  readonly commands: string[] = [];

  vf(index: number): Shown {
    return this.#link[0].vfinfo_list[index];
  }

  readonly run: RunIp = async (...args) => {
    if (args[0] === '-j') return JSON.stringify(this.#link);
    const [, , , , , index, ...words] = args;
    const of = this.vf(Number(index));
    const [word = '', value = '', , second = ''] = words;
    if (this.refuses.has(word))
      throw new PolykernelError('unavailable', `ip ${args.join(' ')}: Operation not supported`);
    this.commands.push(words.join(' '));
    if (this.ignores.has(word)) return '';
    if (word === 'mac') of.address = value;
    else if (word === 'vlan') of.vlan_list = [{ vlan: Number(value), qos: Number(second) }];
    else if (word === 'max_tx_rate') of.rate = { max_tx: Number(value), min_tx: Number(second) };
    else if (word === 'trust') of.trust = value === 'on';
    else if (word === 'spoofchk') of.spoofchk = value === 'on';
    else throw new Error(`ip knows no ${word}`);
    return '';
  };
}
