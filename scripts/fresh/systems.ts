/** The systems that `npm run test:setup` sets up on, each with its own npm. */
export interface System {
  name: string;
  /** As debootstrap and apt call it. */
  suite: string;
  /** False: without package lists, as in the images of containers. */
  lists: boolean;
}

export const SYSTEMS: readonly System[] = [
  { name: 'debian-12', suite: 'bookworm', lists: false },
  { name: 'debian-13', suite: 'trixie', lists: true },
];
