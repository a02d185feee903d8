/** A new daemon on what an earlier one left: kernels that run on are taken over, what nobody knows is ended. */
import { mkdirSync } from 'node:fs';
import type { Journal } from '../core/journal.ts';
import type { Records } from '../core/table.ts';
import type { Drivers } from '../driver/drivers.ts';
import type { Clock } from '../sys/clock.ts';
import type { Layout } from '../sys/paths.ts';
import { PROOF_AGAIN_MS } from './find-kernel.ts';
import { directoryName } from './launch.ts';
import { endLeftover, findLeftovers, type Leftover, removeLeftover } from './leftovers.ts';
import { pause } from './logs.ts';
import { changedAll, type Owners, type Provider } from './provider.ts';
import type { InstanceRecord } from './record.ts';

/** How long what the host has to say of processes may delay the daemon's readiness, in milliseconds: a kernel may be long in ending. */
const HOST_PATIENCE_MS = 1_000;

interface TakeUpOptions {
  paths: Layout;
  records: Records<InstanceRecord>;
  drivers: Drivers;
  providers: readonly Provider[];
  journal: Journal;
  clock: Clock;
  /** Instances of now, and names that are taken. */
  owners(): Owners;
  /** Then what is left is the next daemon's. */
  isEnding(): boolean;
}

/** What becomes of each instance, in this order; its next part begins when that of all is done. */
interface TakeUp {
  /** It is there again. */
  add(record: InstanceRecord): void;
  /** What an earlier daemon had still to take from it is taken. */
  settled(record: InstanceRecord): void;
  /** Its kernel is found, or its end. `alive`: told when the host knows that it lives. Never rejects. */
  adopt(record: InstanceRecord, alive: () => void): Promise<void>;
}

/**
 * Resolves when it is known of each kernel whether it lives, and what nobody knows is ended; waits for no guest, and the rest goes on. An
 * instance whose driver is not here is left alone.
 */
export async function takeUp(options: TakeUpOptions, { add, settled, adopt }: TakeUp): Promise<void> {
  const { paths, drivers, journal, clock } = options;
  mkdirSync(paths.instances, { recursive: true, mode: 0o700 });
  const found = options.records.all((_, name, error) =>
    journal.error(`the record of ${name} cannot be read and is ignored; what it describes is ended`, error),
  );
  const patience = pause(clock, HOST_PATIENCE_MS);
  await endLeftovers(options, found, patience);
  const records = found.filter(({ spec: { driver, name } }) => {
    const isHere = drivers.find(driver) !== undefined;
    if (!isHere) journal.error(`${name} needs the driver ${driver}, which this daemon does not have; it is left alone`);
    return isHere;
  });
  for (const record of records) add(record);
  const changed = records.filter(({ former }) => former != null);
  await Promise.all(changed.map((record) => takeFormer(record, options).then(() => settled(record))));
  const known = records.map((record) => new Promise<void>((resolve) => void adopt(record, resolve).finally(resolve)));
  await Promise.race([Promise.all(known), patience]);
}

/**
 * Of one whose spec an earlier daemon had changed when it ended: what it has no more is taken back, before anything is started. Who takes it looks
 * at what others have. Never rejects.
 */
async function takeFormer(record: InstanceRecord, { providers, journal }: TakeUpOptions): Promise<void> {
  await changedAll(providers, [{ record, before: { ...record, ...record.former } }]).catch((error) =>
    journal.error(`taking back what ${record.spec.name} has no more`, error),
  );
}

/**
 * Ends what belongs to none of `records`, and has given back what nobody has. Resolves after `patience` at the latest: what ends later keeps what
 * it has until then.
 */
async function endLeftovers(
  options: TakeUpOptions,
  records: readonly InstanceRecord[],
  patience: Promise<void>,
): Promise<void> {
  const { paths, providers, journal, isEnding } = options;
  const known = records.map(({ id, spec }) => ({ id, name: spec.name }));
  const leftovers = findLeftovers(paths, new Set(known.map(({ id }) => directoryName(id))));
  const left = new Set(leftovers);
  const owners = (): Owners => {
    const now = options.owners();
    const others = [...known, ...[...left].flatMap(({ owner }) => owner ?? [])];
    return {
      ids: new Set([...now.ids, ...others.map(({ id }) => id)]),
      names: new Set([...now.names, ...others.map(({ name }) => name)]),
    };
  };
  const release = async () => {
    // Of one that does not say whose it is, what it has is not known.
    if ([...left].some(({ owner }) => owner === undefined)) return;
    for (const provider of providers) await provider.releaseAllBut?.(owners);
  };
  let isLate = false;
  const all = leftovers.map(async (leftover) => {
    if (!(await isGone(leftover, options))) return;
    left.delete(leftover);
    if (isLate && !isEnding())
      await release().catch((error) => journal.error(`giving back what ${leftover.directory} had`, error));
  });
  const ended = Promise.all(all).then(() => {
    if (leftovers.length > left.size) journal.info('removed leftovers', { count: leftovers.length - left.size });
  });
  await Promise.race([ended, patience]);
  isLate = true;
  await release();
}

/** Ends it, again and again while it is not proven to be gone; false when the daemon ends before. */
async function isGone(leftover: Leftover, { drivers, journal, clock, isEnding }: TakeUpOptions): Promise<boolean> {
  const complain = (error: unknown) => journal.error(`removing the leftover ${leftover.directory}`, error);
  for (let tries = 0; !isEnding(); tries += 1) {
    try {
      await endLeftover(leftover, drivers.all);
      await removeLeftover(leftover).catch(complain);
      return true;
    } catch (error) {
      if (tries === 0) complain(error);
      await pause(clock, PROOF_AGAIN_MS);
    }
  }
  return false;
}
