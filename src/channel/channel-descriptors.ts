/** The files by which programs of the host find channels. */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HOST } from '../instance/contract.ts';
import { encodeDescriptor } from '../ring/index.ts';
import { type ChannelRecord, endOf, SIDES } from './contract.ts';

/** Makes a channel known for the sides that are the host's; without one, or without memory, unknown. */
export function describeChannel(
  directory: string,
  bellFifo: string,
  record: ChannelRecord,
  memory: { path: string; bytes: number } | '' | undefined,
): void {
  const path = join(directory, record.name);
  const sides = SIDES.filter((side) => endOf(record, side).owner === HOST);
  if (sides.length === 0 || !memory) {
    rmSync(path, { force: true });
    return;
  }
  const text = encodeDescriptor({
    memory: memory.path,
    offset: 0,
    bytes: memory.bytes,
    sides,
    bell: join(directory, bellFifo),
    number: record.number,
    peer: sides.length === 2 ? 'futex' : 'bell',
    sleep: undefined,
  });
  if (readOrEmpty(path) === text) return;
  const temporary = join(directory, '.new');
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, path);
}

/** Removes descriptors of channels that are not there any more. */
export function forgetChannels(directory: string, names: ReadonlySet<string>): void {
  let present: string[] = [];
  try {
    present = readdirSync(directory).filter((name) => !name.startsWith('.'));
  } catch {
    // There never was a channel.
  }
  for (const name of present) if (!names.has(name)) rmSync(join(directory, name), { force: true });
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
