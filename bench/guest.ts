/** What a guest is like from within, against a machine of one's own. */
import { guestStreams } from './guest-streams.ts';
import type { Row } from './row.ts';

export async function guest(progress: (text: string) => void): Promise<Row[]> {
  return [...(await guestStreams(progress))];
}
