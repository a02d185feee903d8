/** Memory that the agent holds for the host, which can free what is behind it. */
import { PolykernelError } from '../sys/errors.ts';
import type { GuestLink } from './link.ts';

const MIB = 2 ** 20;
const PAGE = 4096;
/** A comma between runs, and always: else digits could be of either, and text made for that would be tried in each way there is. */
const TOLD = /^held=(\d{1,6})(?: at=([0-9a-f]{1,9}\+[0-9a-f]{1,3}(?:,[0-9a-f]{1,9}\+[0-9a-f]{1,3}){0,255}))?$/;

export interface Held {
  bytes: number;
  /** Where in the guest's memory the piece lies that was taken now; none where none was. */
  places: { offset: number; bytes: number }[];
}

/**
 * Has the agent hold so many bytes, whole MiB: it lets go at once of all that is too much, or takes one piece more where it finds one that
 * programs can do without. Without `bytes` it says how many it holds. `mostBytes`: of the guest's memory, in which all places lie.
 * Rejects with `protocol` for an answer that makes no sense, else as `GuestLink.configure`.
 */
export async function holdMemory(
  guest: Pick<GuestLink, 'ask'>,
  mostBytes: number,
  bytes?: number,
  signal?: AbortSignal,
): Promise<Held> {
  const told = await guest.ask([['balloon', bytes === undefined ? '' : String(Math.floor(bytes / MIB))]], signal);
  const match = TOLD.exec(told);
  const places = (match?.[2]?.split(',') ?? []).map((run) => {
    const [frame = 0, count = 0] = run.split('+').map((part) => Number.parseInt(part, 16));
    return { offset: frame * PAGE, bytes: count * PAGE };
  });
  if (match === null || places.some((place) => !(place.bytes > 0) || place.offset + place.bytes > mostBytes))
    throw new PolykernelError('protocol', 'the guest does not say what memory it holds for the host');
  return { bytes: Number(match[1]) * MIB, places };
}
