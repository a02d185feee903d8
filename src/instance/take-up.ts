/** A new daemon on what an earlier one left: kernels that run on are taken over, what nobody knows is ended. */
import { mkdirSync } from 'node:fs';
import type { Journal } from '../core/journal.ts';
import type { Records } from '../core/table.ts';
import type { Drivers } from '../driver/drivers.ts';
import type { Clock } from '../sys/clock.ts';
import type { Layout } from '../sys/paths.ts';
import { removeLeftovers } from './launch.ts';
import { pause } from './logs.ts';
import type { Provider } from './provider.ts';
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
}

/**
 * Resolves when it is known of each kernel whether it lives, which `adopt` tells, and what nobody knows is ended; waits for no guest, and the
 * rest goes on. An instance whose driver is not here is left alone.
 */
export async function takeUp(options: TakeUpOptions, adopt: (record: InstanceRecord) => Promise<void>): Promise<void> {
  const { paths, drivers, providers, journal, clock } = options;
  mkdirSync(paths.instances, { recursive: true, mode: 0o700 });
  const records = options.records.all((_, name, error) =>
    journal.error(`the record of ${name} cannot be read and is ignored; what it describes is ended`, error),
  );
  const patience = pause(clock, HOST_PATIENCE_MS);
  const ended = removeLeftovers(
    paths,
    records.map((record) => record.id),
    drivers.all,
    (doing, error) => journal.error(doing, error),
  ).then((count) => {
    if (count > 0) journal.info('removed leftovers', { count });
  });
  const areEnded = await Promise.race([ended.then(() => true), patience.then(() => false)]);
  // What is not gone yet keeps what it has; the next daemon looks again.
  if (areEnded) for (const provider of providers) await provider.releaseAllBut?.(records);
  const adoptions = records.map(async (record) => {
    const { driver, name } = record.spec;
    if (drivers.find(driver) !== undefined) return await adopt(record);
    journal.error(`${name} needs the driver ${driver}, which this daemon does not have; it is left alone`);
  });
  await Promise.race([Promise.all(adoptions), patience]);
}
