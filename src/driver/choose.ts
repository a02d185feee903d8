/** Which driver a request gets, and why: pure. */
import { PolykernelError } from '../sys/errors.ts';
import { checkCpus, checkImageKind } from './check.ts';
import type { Candidate, DriverTraits } from './traits.ts';

export interface HostFacts {
  /** The drivers that were asked; `auto` needs them all. */
  drivers: readonly Candidate[];
  /** What all drivers are, those that were not asked too. */
  all: readonly DriverTraits[];
  /** Memory of the host in bytes. */
  memoryBytes: number;
  /** Kind of the image that was named, if one was. */
  imageKind?: string | undefined;
}

interface Choice {
  driver: Candidate;
  reason: string;
}

/**
 * The driver to use and why; for `auto` the one of the highest rank of those that can boot the image, if one was named, and
 * give the CPUs. Throws `unavailable`, or `invalid` for an image or CPUs that it cannot take.
 */
export function chooseDriver(wanted: string, cpus: number, facts: HostFacts): Choice {
  if (wanted === 'auto') return chooseBest(cpus, facts);
  const driver = facts.drivers.find(({ name }) => name === wanted);
  if (driver === undefined) {
    const names = facts.drivers.map((each) => each.name).join(', ');
    throw new PolykernelError('unavailable', `there is no driver ${wanted} here`, {
      field: 'driver',
      value: wanted,
      hint: names === '' ? undefined : `Drivers: ${names}.`,
    });
  }
  if (facts.imageKind !== undefined) checkImageKind(facts.imageKind, driver.traits, facts.all);
  if (!driver.availability.available) throw unavailable(driver);
  return { driver, reason: 'as asked' };
}

function chooseBest(cpus: number, { drivers, imageKind }: HostFacts): Choice {
  const candidates = drivers.filter(({ traits }) => imageKind === undefined || traits.imageKinds.includes(imageKind));
  const usable = candidates.filter(({ availability }) => availability.available);
  const driver = highest(
    usable.filter(({ capabilities }) => cpus <= capabilities.maxCpus),
    rankOf,
  );
  if (driver !== undefined)
    return { driver, reason: reasonFor(driver, drivers, { cpus, byImage: imageKind !== undefined }) };
  const largest = highest(usable, ({ capabilities }) => capabilities.maxCpus);
  if (largest !== undefined) checkCpus(cpus, largest);
  const reasons = candidates.map(({ name, availability }) => `${name}: ${availability.reason}`).join('; ');
  throw new PolykernelError('unavailable', `no driver can run a kernel here: ${reasons || 'none is built in'}`, {
    field: 'driver',
    value: 'auto',
    hint: candidates.find(({ availability }) => availability.hint)?.availability.hint ?? 'See `pk doctor`.',
  });
}

const rankOf = ({ traits, availability }: Candidate): number => traits.auto.rank(availability);

/** The first of those with most of something; undefined when there is none. */
function highest(candidates: readonly Candidate[], amount: (candidate: Candidate) => number): Candidate | undefined {
  return [...candidates].sort((a, b) => amount(b) - amount(a))[0];
}

function reasonFor(
  chosen: Candidate,
  drivers: readonly Candidate[],
  asked: { cpus: number; byImage: boolean },
): string {
  const lacks = drivers
    .filter((each) => each !== chosen && each.traits.auto.bestRank > rankOf(chosen))
    .map(({ traits, availability }) =>
      availability.available ? traits.auto.lack(asked) : `${traits.title} is not usable here`,
    );
  return chosen.traits.auto.why(chosen.availability, asked, lacks);
}

function unavailable({ name, availability: { reason, hint } }: Candidate): PolykernelError {
  return new PolykernelError('unavailable', `the driver ${name} cannot be used here: ${reason}`, {
    field: 'driver',
    value: name,
    hint: hint ?? 'See `pk doctor`.',
  });
}
