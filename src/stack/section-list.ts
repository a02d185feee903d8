/**
 * The parts of a stack file beside kernels and pool, by their keys. The list is written by `node scripts/room-references.ts`
 * from the rooms whose stack.ts has a section.
 */
import { channelSection } from '../channel/stack.ts';
import { serviceSection } from '../service/stack.ts';

export const sections = {
  channels: channelSection,
  services: serviceSection,
};
// end of the list
